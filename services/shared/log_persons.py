"""What the recommendation log holds of a person: answers, until the person's key is deleted."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import Final

from services.shared.kafka_reading import read_spans, spans_of
from services.shared.letter_keys import RedisLetterKeys
from services.shared.logged_answer import LoggedAnswer
from services.shared.personal_data import AT_ONCE, Entry, Person, is_any
from services.shared.redis_connection import Redis
from services.shared.sealed_answers import SealedAnswers, pseudonym_of
from services.shared.sealing import MasterKey

TOPIC: Final = "recommendation-log"


class LogPersons:
    """A :class:`PersonalStore` over the log. Asking reads the whole topic.

    The key that forgetting deletes is that of the person's dead letters as well: whoever is
    forgotten here is forgotten there.
    """

    places: Final = frozenset({TOPIC})

    def __init__(self, redis: Redis, servers: str, topic: str, master: MasterKey) -> None:
        self._servers = servers
        self._topic = topic
        self._master = master
        self._keys = RedisLetterKeys(redis, master)
        self._answers = SealedAnswers(master, self._keys)

    async def find(self, person: Person) -> bool:
        """See :class:`PersonalStore`. Reads until something is found."""
        return await is_any(self.export(person))

    async def export(self, person: Person) -> AsyncGenerator[Entry, None]:
        """See :class:`PersonalStore`. What comes meanwhile is left out."""
        wanted = self._master.pseudonym(person.name)
        spans = await spans_of(self._servers, self._topic)
        async with aclosing(read_spans(self._servers, self._topic, spans)) as read:
            async for _, records in read:
                theirs = [
                    (record.key, record.value, list(record.headers))
                    for record in records
                    if pseudonym_of(record.key) == wanted
                ]
                for answer in await self._answers.open(theirs) if theirs else ():
                    if answer is not None:
                        yield _entry(answer)

    async def erase(self, person: Person) -> timedelta:
        """See :class:`PersonalStore`. No answer to the person opens any more."""
        await self._keys.erase([person.name])
        return AT_ONCE


def _entry(answer: LoggedAnswer) -> Entry:
    at = datetime.fromtimestamp(answer.answered_at / 1_000_000, UTC)
    return {
        "kind": "answer",
        "answered_at": at.isoformat(),
        "method": answer.method,
        "scenario": answer.scenario,
        "model_version": answer.model_version,
        "arms": [list(pair) for pair in answer.arms],
        "products": [each.product_id for each in answer.products],
    }
