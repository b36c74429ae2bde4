"""Seals refused records as dead letters, and opens them again.

Under the keys of the people whom a record is about; where nobody can be told, under the shop's,
and where not even that can, under one for no shop. What an erased person had sent before the
erasure, and what comes to be refused only now (a replay, a reset of the group), is sealed under a
key that nobody keeps: that there was such a record is known, what it held is forgotten.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from services.shared.dead_letter import DeadLetter, Refused
from services.shared.letter_envelope import (
    FORMAT,
    MASTER_KEY,
    SEALED,
    SEALED_UNDER,
    SHOP,
    LetterDamaged,
    Opened,
    address_of,
    close,
    open_sealed,
    read_clear,
)
from services.shared.letter_keys import LetterKeys, Person
from services.shared.sealing import MasterKey, Seal, SealBroken

ERASED: Final = "erased: the key of whom it is about is gone"
OTHER_MASTER_KEY: Final = "sealed under another master key: name its file and run this again"
DAMAGED: Final = "damaged: not as it was sealed"
UNKNOWN_FORMAT: Final = "sealed in a way that this release does not know"

_MARK_BYTES: Final = 4


class Unopened(NamedTuple):
    """A letter that cannot be read."""

    why: str
    """One of the sentences above."""


class SealedLetters:
    """Seals and opens letters."""

    def __init__(self, master: MasterKey, keys: LetterKeys) -> None:
        self._master = master
        self._keys = keys
        self._mark = master.derive("mark of dead letters")[:_MARK_BYTES].hex()

    async def seal(self, refused: Sequence[Refused]) -> list[DeadLetter]:
        """The letters of refused records. At most one round trip to Redis.

        Raises RedisUnavailable, and SealBroken where a person's key is damaged.
        """
        people = list(dict.fromkeys(person for one in refused for person in one.whose.people))
        kept = await self._keys.for_sealing(people) if people else []
        known = dict(zip(people, kept, strict=True))
        shops = {
            shop_id: self._master.shop_seal(shop_id)
            for shop_id in {one.whose.shop_id for one in refused if not one.whose.people}
        }
        return [self._close(one, known, shops) for one in refused]

    def _close(
        self, one: Refused, known: Mapping[bytes, Person], shops: Mapping[str, Seal]
    ) -> DeadLetter:
        shop_id, people = one.whose
        if people:
            seals = [self._seal_of(known[person], one.appended) for person in people]
            under = ",".join(self._master.pseudonym(person).hex() for person in people)
        else:
            seals, under = [shops[shop_id]], SHOP
        key = None
        if one.key is not None:  # letters about one person stay in one partition
            key = f"{shop_id}/{self._master.pseudonym(one.key).hex()}".encode()
        return close(one, seals, key=key, under=under, master_key=self._mark)

    def _seal_of(self, person: Person, appended: int) -> Seal:
        if appended * 1000 <= person.erased_at:
            return Seal(self._master.new_person_key())
        return person.seal

    async def open(self, letters: Sequence[DeadLetter]) -> list[Opened | Unopened]:
        """What is in each, or why that cannot be read. At most one round trip to Redis.

        Raises RedisUnavailable, and SealBroken where a person's key is damaged.
        """
        under = [pseudonyms(letter) for letter in letters]
        names = list(dict.fromkeys(name for some in under for name in some))
        kept = await self._keys.for_opening(names) if names else []
        known = dict(zip(names, kept, strict=True))
        return [self._open(one, some, known) for one, some in zip(letters, under, strict=True)]

    def _open(
        self, letter: DeadLetter, under: Sequence[bytes], known: Mapping[bytes, Seal | None]
    ) -> Opened | Unopened:
        told = dict(letter.headers)
        if SEALED not in told:
            return read_clear(letter)
        if told[SEALED] != FORMAT.encode():
            return Unopened(UNKNOWN_FORMAT)
        if told.get(MASTER_KEY) != self._mark.encode():
            return Unopened(OTHER_MASTER_KEY)
        seals = [seal for name in under if (seal := known[name]) is not None]
        if len(seals) < len(under):
            return Unopened(ERASED)
        seals = seals or [self._master.shop_seal(address_of(letter).shop_id)]
        try:
            return open_sealed(letter, seals)
        except SealBroken:  # a person whose key was erased may have got another one since
            return Unopened(ERASED if under else DAMAGED)
        except LetterDamaged:
            return Unopened(DAMAGED)


def pseudonyms(letter: DeadLetter) -> list[bytes]:
    """Under whose keys it is sealed; none: under the shop's, or it is in the clear."""
    under = (dict(letter.headers).get(SEALED_UNDER) or b"").decode("ascii", "replace")
    if under in ("", SHOP):
        return []
    try:
        return [bytes.fromhex(name) for name in under.split(",")]
    except ValueError:
        return []
