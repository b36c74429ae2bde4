"""The topics that Attune needs, and how each is kept."""

from __future__ import annotations

from typing import Final, NamedTuple

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaConnectionError, TopicAlreadyExistsError, for_code

from deploy.local.supervised import StackFailed

DAY_MS: Final = 24 * 3600 * 1000


class Topic(NamedTuple):
    """A topic's name without its prefix, its partitions, and how Kafka keeps it."""

    name: str
    partitions: int
    settings: dict[str, str]


# An event's age is judged by the broker's clock, hence its time of append.
EVENTS: Final = {"message.timestamp.type": "LogAppendTime", "retention.ms": str(7 * DAY_MS)}

TOPICS: Final = (
    Topic("shopper-events", 4, EVENTS),
    Topic("shopper-history", 4, EVENTS),
    Topic("catalog", 4, {"cleanup.policy": "compact"}),
    Topic("offers", 4, {"cleanup.policy": "compact"}),
    Topic("dead-letters", 4, {"retention.ms": str(30 * DAY_MS)}),
    # As many partitions as shopper-events: an answer lies in that of its shopper's events.
    Topic("recommendation-log", 4, {**EVENTS, "retention.ms": str(30 * DAY_MS)}),
)


async def create_topics(servers: str, *, prefix: str = "") -> list[str]:
    """Create what is missing; answers the names created. Raises StackFailed."""
    admin = AIOKafkaAdminClient(bootstrap_servers=servers, request_timeout_ms=20_000)
    try:
        await admin.start()
    except KafkaConnectionError as error:
        await admin.close()
        raise StackFailed(f"no Kafka broker answers at {servers}") from error
    try:
        response = await admin.create_topics(
            [
                NewTopic(prefix + topic.name, topic.partitions, 1, topic_configs=topic.settings)
                for topic in TOPICS
            ]
        )
    finally:
        await admin.close()
    return [name for name, code, *_ in response.topic_errors if _is_new(name, code)]


def _is_new(name: str, code: int) -> bool:
    if code not in (0, TopicAlreadyExistsError.errno):
        raise StackFailed(f"topic {name} cannot be created: {for_code(code).__name__}")
    return code == 0
