"""Reads dead letters from a moment on to the present end."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from services.shared.dead_letter import DeadLetter
from services.shared.kafka_reading import read_spans, spans_since


async def letters(
    servers: str, topic: str, *, since: int
) -> AsyncGenerator[list[DeadLetter], None]:
    """All letters that came at ``since`` (milliseconds since 1970) or later, some at a time.

    Those that come while this reads are left for the next time. Raises KafkaUnavailable.
    """
    spans = await spans_since(servers, topic, since)
    async with aclosing(read_spans(servers, topic, spans)) as read:
        async for _, records in read:
            yield [DeadLetter(one.key, one.value or b"", list(one.headers)) for one in records]
