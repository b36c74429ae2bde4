"""What a topic of Kafka holds of a person: events as they came, until the broker drops them."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import Any

from services.shared.errors import KafkaUnavailable
from services.shared.kafka import topic_settings
from services.shared.kafka_reading import read_spans, spans_of
from services.shared.personal_data import Entry, Person, is_any


class TopicPersons:
    """A :class:`PersonalStore` over one topic whose keys are ``shop_id/subject``.

    Kafka finds nothing by key and deletes no single record: asking reads the whole topic,
    and what a person wants forgotten leaves with its retention. Until then it is in no
    profile any more, as what was asked for stands beside the profile.
    """

    def __init__(self, servers: str, topic: str, *, place: str) -> None:
        """``place`` is the topic's name without a prefix."""
        self._servers = servers
        self._topic = topic
        self.places = frozenset({place})

    async def find(self, person: Person) -> bool:
        """See :class:`PersonalStore`. Reads until something is found."""
        return await is_any(self.export(person))

    async def export(self, person: Person) -> AsyncGenerator[Entry, None]:
        """See :class:`PersonalStore`. What comes meanwhile is left out."""
        spans = await spans_of(self._servers, self._topic)
        async with aclosing(read_spans(self._servers, self._topic, spans)) as read:
            async for partition, records in read:
                for record in records:
                    if record.key == person.name:
                        yield self._entry(partition, record)

    async def erase(self, _: Person) -> timedelta:
        """See :class:`PersonalStore`. Nothing to do but wait; raises KafkaUnavailable."""
        kept = int((await topic_settings(self._servers, self._topic))["retention.ms"])
        if kept < 0:
            raise KafkaUnavailable(
                f"{self._topic} keeps records for ever (retention.ms={kept}): nothing in it can "
                "be forgotten; give it a retention"
            )
        return timedelta(milliseconds=kept)

    def _entry(self, partition: int, record: Any) -> Entry:
        return {
            "kind": "event",
            "topic": self._topic,
            "partition": partition,
            "offset": record.offset,
            "appended_at": datetime.fromtimestamp(record.timestamp / 1000, UTC).isoformat(),
            "value": (record.value or b"").decode("utf-8", "backslashreplace"),
        }
