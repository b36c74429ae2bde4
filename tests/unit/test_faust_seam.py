"""What the worker leans on in Faust and aiokafka beyond their documentation is as it was.

When one of these fails, a library has changed beneath ``services/profiles/adapters/stream.py``:
read what has changed, run the fault tests, and only then write down what is true now.
"""

from __future__ import annotations

import asyncio
import hashlib
import inspect
import threading
from importlib.metadata import version
from typing import Any

import faust
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.consumer import group_coordinator
from aiokafka.structs import ConsumerRecord
from faust.transport import consumer as base
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage

from services.profiles.adapters.stream import BatchConsumer, BatchTransport

SOURCES: dict[str, tuple[Any, str]] = {
    "Consumer._to_message": (driver.Consumer._to_message, "7c24f6511b2fcef7"),
    "Consumer.seek": (base.Consumer.seek, "b86a9fe05f956b30"),
    "Consumer.getmany": (base.Consumer.getmany, "4b168d84882a70d6"),
    "Consumer._drain_messages": (base.Consumer._drain_messages, "44a2500309e83c63"),
    "AIOKafkaConsumerThread._ensure_consumer": (
        driver.AIOKafkaConsumerThread._ensure_consumer,
        "ff4a4c693b7ec63f",
    ),
    "AIOKafkaConsumerThread._fetch_records": (
        driver.AIOKafkaConsumerThread._fetch_records,
        "39a2c6c79fc1455a",
    ),
    "Consumer._new_consumer_thread": (driver.Consumer._new_consumer_thread, "0870ec53dea75083"),
    "AIOKafkaConsumerThread._create_worker_consumer": (
        driver.AIOKafkaConsumerThread._create_worker_consumer,
        "c2701bfc3e6f6cad",
    ),
    "AIOKafkaConsumer.start": (AIOKafkaConsumer.start, "2f1ba70443327538"),
    "App._create_directories": (faust.App._create_directories, "a9f571c3b04abec3"),
    "fetch_committed_offsets": (
        group_coordinator.GroupCoordinator.fetch_committed_offsets,
        "6c049c7379165952",
    ),
}


def digest(function: Any) -> str:
    """The source of a function, as a short sum."""
    return hashlib.sha256(inspect.getsource(function).encode()).hexdigest()[:16]


def test_the_versions_that_were_looked_at() -> None:
    """Pinned exactly: another one is taken up on purpose."""
    assert version("faust-streaming") == "0.15.3"
    assert version("aiokafka") == "0.14.0"


@pytest.mark.parametrize("name", SOURCES)
def test_what_is_leant_on_is_as_it_was(name: str) -> None:
    """The source of what we override or call."""
    function, known = SOURCES[name]
    assert digest(function) == known


def test_our_consumer_overrides_what_faust_calls() -> None:
    """Methods of these names exist in Faust, so that ours are called in their place."""
    for name in ("_to_message", "getmany"):
        assert callable(getattr(driver.Consumer, name))
        assert getattr(BatchConsumer, name) is not getattr(driver.Consumer, name)
    assert BatchTransport.Consumer is BatchConsumer
    assert driver.Transport.Consumer is driver.Consumer


def test_a_message_carries_what_faust_needs() -> None:
    """Each parameter that Faust gives a message, ours gives it, too."""
    given = inspect.signature(ConsumerMessage).parameters
    assert set(given) == {
        "topic", "partition", "offset", "timestamp", "timestamp_type", "headers", "key", "value",
        "checksum", "serialized_key_size", "serialized_value_size", "tp", "time_in", "time_out",
        "time_total", "generation_id",
    }  # fmt: skip
    assert {"offset", "timestamp", "timestamp_type"} <= set(ConsumerRecord.__dataclass_fields__)


async def test_a_partition_is_rewound_by_the_thread_that_reads_it() -> None:
    """From another one, aiokafka's fetcher may lose what it is just handing out, and crash."""

    class Consumer:
        def seek(self, partition: TopicPartition, offset: int) -> None:
            sought.append((threading.current_thread(), partition, offset))

    class Thread:
        def _ensure_consumer(self) -> Consumer:
            return Consumer()

        async def call_thread(self, function: Any, *arguments: Any) -> None:
            await asyncio.to_thread(lambda: asyncio.run(function(*arguments)))

    sought: list[Any] = []
    ours: Any = object.__new__(BatchConsumer)
    ours._thread, ours._read_offset = Thread(), {}
    await ours.read_again(TP("t", 1), 7)
    ((thread, partition, offset),) = sought
    assert thread is not threading.current_thread()
    assert (partition, offset) == (TopicPartition("t", 1), 7)
    assert ours._read_offset == {TP("t", 1): 7}


def test_the_consumer_has_a_coordinator() -> None:
    """By which committed offsets are asked for with their notes."""
    assert "self._coordinator" in inspect.getsource(AIOKafkaConsumer.start)
