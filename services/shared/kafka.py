"""What a service asks of Kafka before it starts: is it there, are its topics, how are they kept."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeVar

from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import KafkaError

from services.shared.errors import BadSetting, KafkaUnavailable

DEADLINE_SECONDS: Final = 15.0

TIMES: Final = "message.timestamp.type"
APPEND_TIME: Final = "LogAppendTime"

T = TypeVar("T")


class TopicDescription(NamedTuple):
    """A topic as Kafka knows it. ``topic_id`` is its UUID; "" from a Kafka before 2.8."""

    topic_id: str
    partitions: int


async def describe_topics(servers: str, names: Sequence[str]) -> dict[str, TopicDescription]:
    """The topics of ``names`` by name. Raises KafkaUnavailable, also where one is missing."""
    described = await _ask(servers, lambda admin: _describe(admin, list(names)))
    if missing := [name for name in names if name not in described]:
        raise KafkaUnavailable(
            f"Kafka at {servers} has no topic {', '.join(missing)}. Attune creates none by itself: "
            "`python -m deploy.local topics` does on the embedded stack, on a cluster whoever "
            "deploys the chart does"
        )
    return described


async def topic_settings(servers: str, topic: str) -> dict[str, str]:
    """How the broker keeps a topic, as ``retention.ms`` → ``604800000``; also what is default.

    Raises KafkaUnavailable.
    """
    resource = ConfigResource(ConfigResourceType.TOPIC, topic)

    def ask(admin: Any) -> dict[str, str]:
        found = admin.describe_configs([resource], config_filter="all")
        (settings,) = (each[topic] for each in found.values())
        return {name: str(about["value"]) for name, about in settings.items()}

    settings = await _ask(servers, ask)
    if not settings:  # not an error to Kafka
        raise KafkaUnavailable(f"Kafka at {servers} has no topic {topic}, or not yet")
    return settings


def require_append_time(topic: str, settings: Mapping[str, str]) -> None:
    """Raise BadSetting where a producer's clock would decide how old its events are."""
    if settings[TIMES] != APPEND_TIME:
        raise BadSetting(
            f"topic {topic} has {TIMES}={settings[TIMES]}; set {APPEND_TIME}: an event's age is "
            "judged by the time at which the broker appended it"
        )


async def _ask(servers: str, question: Callable[[Any], T]) -> T:
    """What ``question`` answers of an admin client. Raises KafkaUnavailable."""
    try:
        async with asyncio.timeout(DEADLINE_SECONDS + 1):
            return await asyncio.to_thread(_with_admin, servers, question)
    except (KafkaError, OSError, TimeoutError) as error:
        said = str(error) or type(error).__name__
        raise KafkaUnavailable(f"Kafka at {servers} does not answer: {said}") from error


def _with_admin(servers: str, question: Callable[[Any], T]) -> T:
    milliseconds = int(DEADLINE_SECONDS * 1000 / 3)
    admin = KafkaAdminClient(
        bootstrap_servers=servers.split(","),
        request_timeout_ms=milliseconds,
        bootstrap_timeout_ms=milliseconds,
    )
    try:
        return question(admin)
    finally:
        admin.close()


def _describe(admin: Any, names: list[str]) -> dict[str, TopicDescription]:
    return {
        topic["name"]: TopicDescription(str(topic["topic_id"] or ""), len(topic["partitions"]))
        for topic in admin.describe_topics(names)
        if not topic["error_code"]
    }
