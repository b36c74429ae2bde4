"""Whatever a producer's client may write, aiokafka reads with what we bring and add to it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.consumer import fetcher
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.structs import ConsumerRecord
from kafka import KafkaProducer

from services.shared.kafka_records import accept_any_header_name, hand_out_records_as_they_are
from tests.worker_kafka import Untextual


@pytest.fixture
def lenient() -> Iterator[None]:
    """Readers take any header name; afterwards aiokafka is as it was."""
    accept_any_header_name()
    yield
    fetcher.MemoryRecords = MemoryRecords


async def read(servers: str, topic: str, count: int) -> list[ConsumerRecord[Any, Any]]:
    """The first ``count`` records of partition 0."""
    async with AIOKafkaConsumer(bootstrap_servers=servers, auto_offset_reset="earliest") as one:
        one.assign([TopicPartition(topic, 0)])
        async with asyncio.timeout(15):
            return [await one.getone() for _ in range(count)]


def write(servers: str, topic: str, names: list[str], compression: str | None = None) -> None:
    """One batch with a record for each header name, by a client that checks nothing."""
    producer = KafkaProducer(bootstrap_servers=servers, linger_ms=500, compression_type=compression)
    sent = [
        producer.send(topic, b"v%d" % i, key=b"k", partition=0, headers=[(name, b"x")])
        for i, name in enumerate(names)
    ]
    for each in sent:
        each.get(15)
    producer.close(15)


@pytest.mark.usefixtures("lenient")
@pytest.mark.parametrize("codec", [None, "gzip", "snappy", "lz4", "zstd"])
async def test_every_compression_of_kafka_can_be_read(
    codec: str | None, kafka_servers: str, topic_prefix: str
) -> None:
    """A shop's client compresses as it likes."""
    topic = topic_prefix + "shopper-events"
    async with AIOKafkaProducer(bootstrap_servers=kafka_servers, compression_type=codec) as to:
        for value in (b"v0", b"v1"):
            await to.send_and_wait(topic, value, key=b"k", partition=0)
    assert [each.value for each in await read(kafka_servers, topic, 2)] == [b"v0", b"v1"]


@pytest.mark.usefixtures("lenient")
@pytest.mark.parametrize("codec", [None, "gzip"])
async def test_a_header_name_that_is_no_text(
    codec: str | None,
    kafka_servers: str,
    topic_prefix: str,
) -> None:
    """It is read with a mark in its place, and so is what stands before and behind it."""
    topic = topic_prefix + "shopper-events"
    names = ["before", Untextual(), "behind", Untextual(), "end"]
    write(kafka_servers, topic, names, codec)
    found = await read(kafka_servers, topic, 5)
    assert [each.value for each in found] == [b"v%d" % i for i in range(5)]
    assert [each.offset for each in found] == list(range(5))
    assert [each.headers[0][0] for each in found] == ["before", "�A", "behind", "�A", "end"]


async def test_records_as_they_are(
    kafka_servers: str, topic_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They have what the worker uses of a record, as aiokafka's own have it."""
    topic = topic_prefix + "shopper-events"
    write(kafka_servers, topic, ["a", "b"])
    usual = await read(kafka_servers, topic, 2)
    monkeypatch.setattr(
        fetcher.PartitionRecords, "_consumer_record", fetcher.PartitionRecords._consumer_record
    )  # as it was, at the end
    hand_out_records_as_they_are()
    plain = await read(kafka_servers, topic, 2)
    assert not isinstance(plain[0], ConsumerRecord)

    def told(record: Any) -> tuple[Any, ...]:
        head = (record.key, record.value, record.offset, record.timestamp, record.timestamp_type)
        return (*head, tuple(record.headers))

    assert list(map(told, plain)) == list(map(told, usual))


async def test_without_us_it_cannot_be_read(kafka_servers: str, topic_prefix: str) -> None:
    """If aiokafka learns to read it, what we add can go."""
    topic = topic_prefix + "shopper-events"
    write(kafka_servers, topic, [Untextual()])
    with pytest.raises(UnicodeDecodeError):
        await read(kafka_servers, topic, 1)
