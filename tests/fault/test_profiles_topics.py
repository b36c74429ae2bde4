"""What may happen to a topic and a group while a worker runs: grown, made anew, set back."""

from __future__ import annotations

import contextlib
from contextlib import nullcontext
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions
from aiokafka.errors import KafkaError

from deploy.local.kafka import EmbeddedKafka
from deploy.local.topics import create_topics
from services.profiles.adapters.stream import METADATA_MS
from tests.fault.test_profiles_faults import as_the_oracle_says, shopping, told
from tests.profile_events import Event
from tests.stack import run_worker
from tests.standing import standing_still
from tests.waiting import eventually_async
from tests.worker_kafka import (
    PARTITIONS,
    committed,
    group_of,
    producer,
    records,
    send,
    until_committed,
)

EVENTS = "shopper-events"


def split(some: list[Event], parts: int) -> list[list[Event]]:
    size = len(some) // parts
    return [some[i * size : (i + 1) * size] for i in range(parts)]


async def test_a_partition_is_added(
    kafka_servers: str, redis_url: str, topic_prefix: str, shop_id: str, tmp_path: Path
) -> None:
    """Its events are read as soon as clients look for new partitions, also of old shoppers."""
    before, after = split(shopping(shop_id, 400), 2)
    with run_worker(told(kafka_servers, redis_url, topic_prefix), tmp_path / "worker.log"):
        await send(kafka_servers, topic_prefix, before)
        await until_committed(kafka_servers, topic_prefix, len(before))
        admin = AIOKafkaAdminClient(bootstrap_servers=kafka_servers)
        await admin.start()
        await admin.create_partitions({topic_prefix + EVENTS: NewPartitions(6)})
        await admin.close()
        await send(kafka_servers, topic_prefix, after)
        total, within = len(before) + len(after), METADATA_MS / 1000 + 60
        await until_committed(kafka_servers, topic_prefix, total, within=within)
    await as_the_oracle_says(redis_url, before + after)


async def make_anew(servers: str) -> None:
    """Delete the events' topic and make it again."""
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    await admin.delete_topics([EVENTS])

    async def is_gone() -> bool:
        return EVENTS not in await admin.list_topics()

    await eventually_async(is_gone, within=30)
    await create_topics(servers)
    await admin.close()


@pytest.mark.parametrize("sleeping", [False, True])
async def test_a_topic_is_made_anew(
    own_kafka: EmbeddedKafka, redis_url: str, shop_id: str, tmp_path: Path, sleeping: bool
) -> None:
    """Offsets begin anew, behind where the worker was or, as it slept, beyond: all is read."""
    servers = own_kafka.servers
    await create_topics(servers)
    before, after = split(shopping(shop_id, 900), 2)
    with run_worker(told(servers, redis_url, ""), tmp_path / "worker.log") as worker:
        await send(servers, "", before[:200])
        await until_committed(servers, "", 200)
        with standing_still(worker.process.pid) if sleeping else nullcontext():
            await make_anew(servers)
            await send(servers, "", after)
        await until_committed(servers, "", len(after), within=90)

        async def is_right() -> bool:
            with contextlib.suppress(AssertionError):
                await as_the_oracle_says(redis_url, before[:200] + after)
                return "topic_made_anew" in worker.log_path.read_text()
            return False

        await eventually_async(is_right, within=90, log=worker.log_path)
    await as_the_oracle_says(redis_url, before[:200] + after)


async def test_a_group_is_set_back(
    kafka_servers: str, redis_url: str, topic_prefix: str, shop_id: str, tmp_path: Path
) -> None:
    """All is folded again, to the same profiles and counts; a dead letter comes twice."""
    some = shopping(shop_id, 400)
    settings = told(kafka_servers, redis_url, topic_prefix)
    with run_worker(settings, tmp_path / "one.log"):
        await send(kafka_servers, topic_prefix, some)
        async with producer(kafka_servers) as to:
            await to.send_and_wait(topic_prefix + EVENTS, b"{", b"k")
        await until_committed(kafka_servers, topic_prefix, len(some) + 1)
    consumer = AIOKafkaConsumer(
        bootstrap_servers=kafka_servers, group_id=group_of(topic_prefix), enable_auto_commit=False
    )
    await consumer.start()
    partitions = [TopicPartition(topic_prefix + EVENTS, number) for number in PARTITIONS]
    consumer.assign(partitions)

    async def is_set_back() -> bool:
        with contextlib.suppress(KafkaError):  # as long as the last member has not gone
            await consumer.commit(dict.fromkeys(partitions, 0))
        return await committed(kafka_servers, topic_prefix) == 0

    await eventually_async(is_set_back, within=30)
    await consumer.stop()
    with run_worker(settings, tmp_path / "two.log"):
        await until_committed(kafka_servers, topic_prefix, len(some) + 1)
    await as_the_oracle_says(redis_url, some)
    letters = await records(kafka_servers, topic_prefix + "dead-letters")
    assert len({dict(letter.headers)["attune_offset"] for letter in letters}) == 1
    assert len(letters) == 2
