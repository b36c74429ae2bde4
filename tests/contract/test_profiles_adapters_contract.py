"""Dead letters and topics on real Kafka."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import MessageSizeTooLargeError
from faust.types import TP

from deploy.local.kafka import EmbeddedKafka
from services.profiles.adapters.dead_letters import (
    DeadLetters,
    KafkaDeadLetters,
    MemoryDeadLetters,
)
from services.profiles.adapters.stream import first_from
from services.profiles.domain.dead_letter import DeadLetter
from services.shared.errors import KafkaUnavailable
from services.shared.kafka import describe_topics
from tests.profile_events import view
from tests.worker_kafka import records, send


@pytest.fixture(params=["memory", "kafka"])
async def dead_letters(
    request: pytest.FixtureRequest, kafka_servers: str, topic_prefix: str
) -> AsyncIterator[DeadLetters]:
    if request.param == "memory":
        yield MemoryDeadLetters()
        return
    to = KafkaDeadLetters(kafka_servers, topic_prefix + "dead-letters")
    yield to
    await to.close()


async def test_dead_letters_are_kept(
    dead_letters: DeadLetters, kafka_servers: str, topic_prefix: str
) -> None:
    """What was sent is there, whole, once send returns; none and a full batch of large ones too."""
    some = [
        DeadLetter(b"k%d" % i, bytes(65_536), [("attune_offset", b"%d" % i), ("a", b"\xff")])
        for i in range(100)
    ]
    some.append(DeadLetter(None, b"", []))
    await dead_letters.send([])
    await dead_letters.send(some)
    if isinstance(dead_letters, MemoryDeadLetters):
        kept = dead_letters.letters
    else:
        found = await records(kafka_servers, topic_prefix + "dead-letters")
        kept = [DeadLetter(one.key, one.value, list(one.headers)) for one in found]
    assert sorted(kept, key=repr) == sorted(some, key=repr)


async def test_first_dead_letters_of_several_partitions(
    kafka_servers: str, topic_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They share one producer; another one would be left open for good."""
    started: list[AIOKafkaProducer] = []
    start = AIOKafkaProducer.start

    async def noted(self: AIOKafkaProducer) -> None:
        started.append(self)
        await start(self)

    monkeypatch.setattr(AIOKafkaProducer, "start", noted)
    to = KafkaDeadLetters(kafka_servers, topic_prefix + "dead-letters")
    await asyncio.gather(*(to.send([DeadLetter(b"k", b"v", [])]) for _ in range(4)))
    await to.close()
    assert len(started) == 1


async def test_dead_letters_while_kafka_is_away(own_kafka: EmbeddedKafka) -> None:
    """A broker that does not answer is KafkaUnavailable, not a letter lost."""
    own_kafka.kill()
    to = KafkaDeadLetters(own_kafka.servers, "dead-letters")
    with pytest.raises(KafkaUnavailable, match="were not acknowledged"):
        await to.send([DeadLetter(b"k", b"v", [])])
    await to.close()


async def test_a_topic_that_takes_less_than_a_dead_letter(kafka_servers: str) -> None:
    """Trying again is of no use: it is an error of its own, and nothing is called kept."""
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_servers)
    await admin.start()
    small = {"max.message.bytes": "1000"}
    await admin.create_topics([NewTopic("small.dead-letters", 1, 1, topic_configs=small)])
    await admin.close()
    to = KafkaDeadLetters(kafka_servers, "small.dead-letters")
    with pytest.raises(MessageSizeTooLargeError):
        await to.send([DeadLetter(b"k", bytes(65_536), [])])
    await to.send([DeadLetter(b"k", b"v", [])])
    await to.close()


async def test_topics_are_described(kafka_servers: str, topic_prefix: str) -> None:
    """A topic has its partitions and an id that another topic does not have."""
    names = [topic_prefix + "shopper-events", topic_prefix + "dead-letters"]
    topics = await describe_topics(kafka_servers, names)
    assert topics[names[0]].partitions == 4
    assert len({topic.topic_id for topic in topics.values()} - {""}) == 2
    with pytest.raises(KafkaUnavailable, match="no topic missing-topic"):
        await describe_topics(kafka_servers, [names[0], "missing-topic"])


async def test_first_record_from_an_offset(kafka_servers: str, topic_prefix: str) -> None:
    """Kafka itself says where the next record is."""
    await send(kafka_servers, topic_prefix, [view(i) for i in range(5)])
    (first, *_) = await records(kafka_servers, topic_prefix + "shopper-events")
    tp = TP(first.topic, first.partition)
    assert [await first_from(kafka_servers, tp, offset) for offset in (0, 3)] == [0, 3]
