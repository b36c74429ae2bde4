"""What dead letters hold of a person: what was refused, until its key is deleted."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from datetime import timedelta
from typing import Final

from services.shared.dead_letter import DeadLetter
from services.shared.kafka_reading import read_spans, spans_of
from services.shared.letter_envelope import Opened
from services.shared.letter_keys import RedisLetterKeys
from services.shared.personal_data import AT_ONCE, Entry, Person, is_any
from services.shared.redis_connection import Redis
from services.shared.sealed_letters import SealedLetters, pseudonyms
from services.shared.sealing import MasterKey
from services.shared.topic_persons import TopicPersons

TOPIC: Final = "dead-letters"


class LetterPersons:
    """A :class:`PersonalStore` over the dead letters and their keys.

    Asking reads the whole topic; forgetting deletes a key. Letters in the clear, of a release
    that did not seal, leave with the topic's retention.
    """

    places: Final = frozenset({TOPIC, "letter_key_redis_key"})

    def __init__(self, redis: Redis, servers: str, topic: str, master: MasterKey) -> None:
        self._servers = servers
        self._topic = topic
        self._master = master
        self._keys = RedisLetterKeys(redis, master)
        self._letters = SealedLetters(master, self._keys)
        self._broker = TopicPersons(servers, topic, place=TOPIC)

    async def find(self, person: Person) -> bool:
        """See :class:`PersonalStore`. Reads until something is found."""
        return await is_any(self.export(person))

    async def export(self, person: Person) -> AsyncGenerator[Entry, None]:
        """See :class:`PersonalStore`. What a letter holds of somebody else as well is not told."""
        spans = await spans_of(self._servers, self._topic)
        async with aclosing(read_spans(self._servers, self._topic, spans)) as read:
            async for _, records in read:
                some = [DeadLetter(it.key, it.value or b"", list(it.headers)) for it in records]
                theirs = [letter for letter in some if self._is_about(letter, person)]
                opened = await self._letters.open(theirs)
                for letter, one in zip(theirs, opened, strict=True):
                    if isinstance(one, Opened):
                        yield _entry(one, is_theirs_alone=len(pseudonyms(letter)) < 2)

    async def erase(self, person: Person) -> timedelta:
        """See :class:`PersonalStore`."""
        await self._keys.erase([person.name])
        return await self._broker.erase(person) if await self.find(person) else AT_ONCE

    def _is_about(self, letter: DeadLetter, person: Person) -> bool:
        return letter.key == person.name or self._master.pseudonym(person.name) in pseudonyms(
            letter
        )


def _entry(opened: Opened, *, is_theirs_alone: bool) -> Mapping[str, object]:
    (origin, appended, code, _, _), content = opened
    told = {
        "kind": "dead letter",
        "topic": origin.topic,
        "partition": origin.partition,
        "offset": origin.offset,
        "appended_at": appended,
        "code": code,
    }
    if is_theirs_alone:
        told["value"] = content.value.decode("utf-8", "backslashreplace")
    return told
