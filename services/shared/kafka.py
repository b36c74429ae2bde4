"""What a service asks of Kafka before it starts: is it there, and are its topics."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final, NamedTuple

from kafka import KafkaAdminClient
from kafka.errors import KafkaError

from services.shared.errors import KafkaUnavailable

DEADLINE_SECONDS: Final = 15.0


class TopicDescription(NamedTuple):
    """A topic as Kafka knows it. ``topic_id`` is its UUID; "" from a Kafka before 2.8."""

    topic_id: str
    partitions: int


async def describe_topics(servers: str, names: Sequence[str]) -> dict[str, TopicDescription]:
    """The topics of ``names`` by name. Raises KafkaUnavailable, also where one is missing."""
    try:
        async with asyncio.timeout(DEADLINE_SECONDS + 1):
            described = await asyncio.to_thread(_describe, servers, list(names))
    except (KafkaError, OSError, TimeoutError) as error:
        said = str(error) or type(error).__name__
        raise KafkaUnavailable(f"no Kafka broker answers at {servers}: {said}") from error
    if missing := [name for name in names if name not in described]:
        raise KafkaUnavailable(
            f"Kafka at {servers} has no topic {', '.join(missing)}. Attune creates none by itself: "
            "`python -m deploy.local topics` does on the embedded stack, on a cluster whoever "
            "deploys the chart does"
        )
    return described


def _describe(servers: str, names: list[str]) -> dict[str, TopicDescription]:
    milliseconds = int(DEADLINE_SECONDS * 1000 / 3)
    admin = KafkaAdminClient(
        bootstrap_servers=servers.split(","),
        request_timeout_ms=milliseconds,
        bootstrap_timeout_ms=milliseconds,
    )
    try:
        return {
            topic["name"]: TopicDescription(str(topic["topic_id"] or ""), len(topic["partitions"]))
            for topic in admin.describe_topics(names)
            if not topic["error_code"]
        }
    finally:
        admin.close()
