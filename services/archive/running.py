"""The process: joins the parts, finds Kafka and the storage, archives until it is told to end."""

from __future__ import annotations

import asyncio

import structlog

from services.archive.adapters.stream import stream
from services.archive.archiving import Archiving
from services.archive.domain.gathering import Limits
from services.archive.domain.tables import TABLES
from services.archive.settings import Settings
from services.archive.writing import Writer
from services.shared.archive_storage import ArchiveStorage
from services.shared.errors import BadSetting, Unavailable
from services.shared.health import Health
from services.shared.kafka import describe_topics, require_append_time, topic_settings
from services.shared.running import run_consumer
from services.shared.sealing import MasterKey
from services.shared.trying import insist

_log = structlog.get_logger()


async def run(settings: Settings, storage: ArchiveStorage, master: MasterKey) -> int:
    """Work until SIGTERM or SIGINT (status 0) or an error that is ours (status 1).

    Raises BadSetting for a taken port and for topics that are kept wrongly.
    """
    return await run_consumer(
        lambda health, ending: _work(settings, storage, master, health, ending),
        settings,
        lost="what was gathered is read again",
    )


async def _work(
    settings: Settings,
    storage: ArchiveStorage,
    master: MasterKey,
    health: Health,
    ending: asyncio.Event,
) -> None:
    tables = {settings.topic_prefix + table.name: table for table in TABLES}
    partitions = stream(settings, list(tables))
    try:
        topic_ids = await _arrive(settings, list(tables), ending)
        await insist(partitions.start, doing="join the group", giving_up=ending.is_set)
        archiving = Archiving(
            partitions,
            Writer(storage, master),
            servers=settings.kafka_servers,
            tables=tables,
            topic_ids=topic_ids,
            limits=Limits(
                settings.flush_events, settings.flush_bytes, float(settings.flush_seconds)
            ),
            health=health,
        )
        await archiving.run(ending)
    except Unavailable as error:
        if not ending.is_set():
            raise
        _log.warning("not_all_archived", reason=str(error), meaning="read again at the next start")
    finally:
        await partitions.close()


async def _arrive(settings: Settings, topics: list[str], ending: asyncio.Event) -> dict[str, str]:
    """Wait until Kafka has the topics; their ids by name.

    Raises BadSetting where offsets or times of a topic cannot be relied on.
    """
    told: dict[str, dict[str, str]] = {}

    async def look() -> dict[str, str]:
        found = await describe_topics(settings.kafka_servers, topics)
        for topic in topics:
            told[topic] = await topic_settings(settings.kafka_servers, topic)
        return {topic: found[topic].topic_id for topic in topics}

    ids = await insist(look, doing="find Kafka and its topics", giving_up=ending.is_set)
    for topic in topics:
        require_append_time(topic, told[topic])
        if not ids[topic]:
            raise BadSetting(
                f"Kafka at {settings.kafka_servers} names no id of topic {topic}; the archive "
                "needs Kafka 2.8 or newer, to tell a topic from one that is made anew by its name"
            )
    return ids
