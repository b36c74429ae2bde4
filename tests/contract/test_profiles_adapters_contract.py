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
from services.shared.dead_letter import DeadLetter, Origin, Refused, Whose
from services.shared.errors import KafkaUnavailable
from services.shared.kafka import describe_topics
from services.shared.letter_envelope import Opened
from services.shared.letter_keys import MemoryLetterKeys
from services.shared.sealed_letters import SealedLetters
from services.shared.sealing import MasterKey
from tests.profile_events import view
from tests.worker_kafka import records, send


@pytest.fixture
def sealed() -> SealedLetters:
    master = MasterKey(bytes(32))
    return SealedLetters(master, MemoryLetterKeys(master))


@pytest.fixture(params=["memory", "kafka"])
async def dead_letters(
    request: pytest.FixtureRequest, kafka_servers: str, topic_prefix: str, sealed: SealedLetters
) -> AsyncIterator[DeadLetters]:
    if request.param == "memory":
        yield MemoryDeadLetters()
        return
    to = KafkaDeadLetters(kafka_servers, topic_prefix + "dead-letters", sealed)
    yield to
    await to.close()


def refused(
    offset: int, value: bytes, *, key: bytes | None = b"demo/u:ana", people: int = 1
) -> Refused:
    """A record that was refused, as a batch tells it."""
    whose = Whose("demo", tuple(b"demo/u:%d" % person for person in range(people)))
    origin = Origin("shopper-events", "id", 1, offset)
    return Refused(origin, 7, key, value, (("a", b"\xff"),), "EVENT_NOT_JSON", "why", whose)


async def test_dead_letters_are_kept(
    dead_letters: DeadLetters, kafka_servers: str, topic_prefix: str, sealed: SealedLetters
) -> None:
    """What was sent is there, whole, once send returns; none and a full batch of large ones too."""
    some = [refused(i, bytes(65_536), people=i % 3) for i in range(100)]
    some.append(refused(100, b"", key=None))
    await dead_letters.send([])
    await dead_letters.send(some)
    assert await kept(dead_letters, kafka_servers, topic_prefix, sealed) == [
        (one.origin, one.code, one.key, one.value, tuple(one.headers)) for one in some
    ]


async def kept(
    dead_letters: DeadLetters, servers: str, prefix: str, sealed: SealedLetters
) -> list[tuple[object, ...]]:
    """What was sent, by offset."""
    if isinstance(dead_letters, MemoryDeadLetters):
        return [(it.origin, it.code, it.key, it.value, it.headers) for it in dead_letters.letters]
    found = await records(servers, prefix + "dead-letters")
    letters = [DeadLetter(one.key, one.value, list(one.headers)) for one in found]
    opened = [one for one in await sealed.open(letters) if isinstance(one, Opened)]
    return [
        (address.origin, address.code, content.key, content.value, content.headers)
        for address, content in sorted(opened, key=lambda one: one.address.origin.offset)
    ]


async def test_first_dead_letters_of_several_partitions(
    kafka_servers: str,
    topic_prefix: str,
    sealed: SealedLetters,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They share one producer; another one would be left open for good."""
    started: list[AIOKafkaProducer] = []
    start = AIOKafkaProducer.start

    async def noted(self: AIOKafkaProducer) -> None:
        started.append(self)
        await start(self)

    monkeypatch.setattr(AIOKafkaProducer, "start", noted)
    to = KafkaDeadLetters(kafka_servers, topic_prefix + "dead-letters", sealed)
    await asyncio.gather(*(to.send([refused(0, b"v")]) for _ in range(4)))
    await to.close()
    assert len(started) == 1


async def test_dead_letters_while_kafka_is_away(
    own_kafka: EmbeddedKafka, sealed: SealedLetters
) -> None:
    """A broker that does not answer is KafkaUnavailable, not a letter lost."""
    own_kafka.kill()
    to = KafkaDeadLetters(own_kafka.servers, "dead-letters", sealed)
    with pytest.raises(KafkaUnavailable, match="were not acknowledged"):
        await to.send([refused(0, b"v")])
    await to.close()


async def test_a_topic_that_takes_less_than_a_dead_letter(
    kafka_servers: str, sealed: SealedLetters
) -> None:
    """Trying again is of no use: it is an error of its own, and nothing is called kept."""
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_servers)
    await admin.start()
    small = {"max.message.bytes": "1000"}
    await admin.create_topics([NewTopic("small.dead-letters", 1, 1, topic_configs=small)])
    await admin.close()
    to = KafkaDeadLetters(kafka_servers, "small.dead-letters", sealed)
    with pytest.raises(MessageSizeTooLargeError):
        await to.send([refused(0, bytes(65_536))])
    await to.send([refused(0, b"v")])
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
