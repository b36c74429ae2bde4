"""Seals logged answers as records of the recommendation log, and opens them again.

Under the key of the person who asked, the same that the person's dead letters have; where the
call named nobody, under the shop's. The record's own key is the shop and the person's pseudonym,
as a letter's is: after an erasure nobody is named in the topic, and nothing in it opens.

An answer that is sealed only after the person was erased, and was given before, is sealed under
a key that nobody keeps.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from services.shared.event_codec import Headers
from services.shared.letter_envelope import FORMAT, MASTER_KEY, SEALED, SEALED_UNDER, SHOP
from services.shared.letter_keys import LetterKeys, Person
from services.shared.logged_answer import AnswerUnreadable, LoggedAnswer, read_answer, write_answer
from services.shared.sealing import MasterKey, Seal, SealBroken
from services.shared.subject import event_key

AT_ONCE: Final = 16
"""So many are sealed before whatever else the process has to do gets its turn."""

_MARK_BYTES: Final = 4


class AnswerRecord(NamedTuple):
    """A record of the recommendation log, and by what its partition is chosen."""

    placed_by: bytes
    """``shop_id/subject``, or the token where nobody was named; it is not written."""
    key: bytes
    value: bytes
    headers: list[tuple[str, bytes]]


class SealedAnswers:
    """Seals and opens answers."""

    def __init__(self, master: MasterKey, keys: LetterKeys) -> None:
        self._master = master
        self._keys = keys
        self._mark = master.derive("mark of logged answers")[:_MARK_BYTES].hex().encode()

    async def seal(self, answers: Sequence[LoggedAnswer]) -> list[AnswerRecord]:
        """The records of answers. At most one question to the keys.

        Raises RedisUnavailable, and SealBroken where a person's key is damaged.
        """
        people = list(
            dict.fromkeys(event_key(one.shop_id, one.subject) for one in answers if one.subject)
        )
        kept = await self._keys.for_sealing(people) if people else []
        known = dict(zip(people, kept, strict=True))
        records = []
        for number, answer in enumerate(answers, 1):
            records.append(self._close(answer, known))
            if number % AT_ONCE == 0:
                await asyncio.sleep(0)
        return records

    async def open(
        self, records: Sequence[tuple[bytes | None, bytes | None, Headers]]
    ) -> list[LoggedAnswer | None]:
        """The answers of records (key, value, headers); None for one that does not open.

        One round trip to Redis, unless a person's key is damaged. Raises RedisUnavailable.
        """
        under = [self._under(headers) for _, _, headers in records]
        known = await self._seals(list(dict.fromkeys(name for name in under if name)))
        return [
            self._open(key, value, name, known)
            for (key, value, _), name in zip(records, under, strict=True)
        ]

    async def _seals(self, names: Sequence[bytes]) -> Mapping[bytes, Seal | None]:
        """The seals of pseudonyms; a key that is damaged opens nothing, as one that is gone."""
        if not names:
            return {}
        try:
            return dict(zip(names, await self._keys.for_opening(names), strict=True))
        except SealBroken:
            if len(names) == 1:
                return {names[0]: None}
            return {
                name: seal for each in names for name, seal in (await self._seals([each])).items()
            }

    def _close(self, answer: LoggedAnswer, known: Mapping[bytes, Person]) -> AnswerRecord:
        if not answer.subject:
            seal, under = self._master.shop_seal(answer.shop_id), b""
            placed_by = answer.attribution_token.encode()
        else:
            placed_by = event_key(answer.shop_id, answer.subject)
            seal, under = self._seal_of(known[placed_by], answer), self._master.pseudonym(placed_by)
        key = _key(answer.shop_id, under)
        headers = [
            (SEALED, FORMAT.encode()),
            (SEALED_UNDER, under.hex().encode() or SHOP.encode()),
            (MASTER_KEY, self._mark),
        ]
        return AnswerRecord(
            placed_by, key, seal.seal(write_answer(answer), about=_about(key)), headers
        )

    def _seal_of(self, person: Person, answer: LoggedAnswer) -> Seal:
        if answer.answered_at <= person.erased_at:
            return Seal(self._master.new_person_key())
        return person.seal

    def _under(self, headers: Headers) -> bytes | None:
        """Whose key opens a record: a pseudonym, b"" for the shop's; None if none of ours does."""
        told = dict(headers)
        if told.get(SEALED) != FORMAT.encode() or told.get(MASTER_KEY) != self._mark:
            return None
        under = (told.get(SEALED_UNDER) or b"").decode("ascii", "replace")
        try:
            return b"" if under == SHOP else bytes.fromhex(under)
        except ValueError:
            return None

    def _open(
        self,
        key: bytes | None,
        value: bytes | None,
        under: bytes | None,
        known: Mapping[bytes, Seal | None],
    ) -> LoggedAnswer | None:
        if key is None or under is None:
            return None
        shop_id = key.decode("utf-8", "replace").partition("/")[0]
        seal = known[under] if under else self._master.shop_seal(shop_id)
        if seal is None:
            return None
        try:
            return read_answer(seal.open(value or b"", about=_about(key)))
        except (SealBroken, AnswerUnreadable):
            return None


def pseudonym_of(key: bytes | None) -> bytes:
    """The pseudonym in a record's key; b"" where it has none."""
    try:
        return bytes.fromhex((key or b"").decode("ascii", "replace").partition("/")[2])
    except ValueError:
        return b""


def _key(shop_id: str, pseudonym: bytes) -> bytes:
    return f"{shop_id}/{pseudonym.hex() or '-'}".encode()


def _about(key: bytes) -> bytes:
    """What an answer's bytes belong to: they are nobody else's."""
    return b"logged answer\n" + key
