"""Where events go: one suite on the fake and on real Kafka, and what only Kafka can do."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator
from typing import NamedTuple

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from deploy.local.kafka import EmbeddedKafka
from deploy.local.topics import create_topics
from services.events.adapters.topic import EventTopic, KafkaTopic, MemoryTopic
from services.events.domain.record import Position, Record, Unacknowledged
from services.shared.errors import BadSetting, KafkaUnavailable
from services.shared.kafka import describe_topics
from tests.waiting import eventually_async
from tests.worker_kafka import records

TIMES = {"message.timestamp.type": "LogAppendTime"}
HEADERS = (("content-type", b"application/protobuf"),)


class Kept(NamedTuple):
    """A topic, and what it holds by partition and offset."""

    topic: EventTopic
    servers: str
    name: str

    async def all(self) -> dict[tuple[int, int], Record]:
        if isinstance(self.topic, MemoryTopic):
            return {
                (partition, offset): record
                for partition, some in enumerate(self.topic.partitions)
                for offset, record in enumerate(some)
            }
        return {
            (each.partition, each.offset): Record(each.key, each.value, each.headers)
            for each in await records(self.servers, self.name)
        }


async def connected(servers: str, name: str) -> KafkaTopic:
    """A topic that was created a moment ago, of which not every broker may know yet."""
    topic = KafkaTopic(servers, name)

    async def is_connected() -> bool:
        with contextlib.suppress(KafkaUnavailable):
            await topic.connect()
            return True
        return False

    await eventually_async(is_connected, within=20)
    return topic


@pytest.fixture(params=["memory", "kafka"])
async def kept(
    request: pytest.FixtureRequest, kafka_servers: str, topic_prefix: str
) -> AsyncIterator[Kept]:
    name = topic_prefix + "shopper-events"
    if request.param == "memory":
        yield Kept(MemoryTopic(), "", "")
        return
    topic = await connected(kafka_servers, name)
    yield Kept(topic, kafka_servers, name)
    await topic.close()


async def test_records_are_where_they_are_said_to_be(kept: Kept) -> None:
    """Positions come in the order of the records, and lead to them."""
    sent = [Record(b"demo/u:%d" % (i % 7), b"v%d" % i, HEADERS) for i in range(50)]
    outcomes = await kept.topic.write(sent, within=20)
    found = await kept.all()
    assert len(found) == 50
    for record, outcome in zip(sent, outcomes, strict=True):
        assert isinstance(outcome, Position)
        assert outcome.topic_id
        assert found[outcome.partition, outcome.offset] == record


async def test_a_key_stays_in_one_partition_in_order(kept: Kept) -> None:
    """What is sent later has the larger offset."""
    outcomes = []
    for i in range(5):
        outcomes += await kept.topic.write([Record(b"demo/u:ana", b"%d" % i)] * 2, within=20)
    places = [each for each in outcomes if isinstance(each, Position)]
    assert len({(each.topic_id, each.partition) for each in places}) == 1
    assert [each.offset for each in places] == list(range(10))


async def test_writers_at_the_same_moment(kept: Kept) -> None:
    """Fifty writers each get the places of their own records."""
    batches = [[Record(b"demo/u:%d" % i, b"%d-%d" % (w, i)) for i in range(20)] for w in range(50)]
    answers = await asyncio.gather(*(kept.topic.write(some, within=30) for some in batches))
    found = await kept.all()
    assert len(found) == 1_000
    for some, outcomes in zip(batches, answers, strict=True):
        for record, outcome in zip(some, outcomes, strict=True):
            assert isinstance(outcome, Position)
            assert found[outcome.partition, outcome.offset].value == record.value


async def test_nothing_to_write(kept: Kept) -> None:
    """No records, no outcomes."""
    assert await kept.topic.write([], within=5) == []


async def test_large_records_fill_more_than_one_batch(
    kafka_servers: str, topic_prefix: str
) -> None:
    """More than a partition gathers at once is written all the same."""
    topic = await connected(kafka_servers, topic_prefix + "shopper-events")
    sent = [Record(b"demo/u:ana", bytes([i]) * 65_000) for i in range(30)]
    outcomes = await topic.write(sent, within=30)
    assert [each.offset for each in outcomes if isinstance(each, Position)] == list(range(30))
    await topic.close()


async def test_before_kafka_was_found_nothing_is_written() -> None:
    """Each record is said to be not acknowledged."""
    topic = KafkaTopic("127.0.0.1:1", "shopper-events")
    with pytest.raises(KafkaUnavailable):
        await topic.connect()
    (outcome,) = await topic.write([Record(b"k", b"v")], within=1)
    assert isinstance(outcome, Unacknowledged)
    await topic.close()


async def test_kafka_goes_away_and_comes_back(own_kafka: EmbeddedKafka) -> None:
    """In between nothing is acknowledged; what was handed over is written later, once."""
    await create_topics(own_kafka.servers)
    topic = await connected(own_kafka.servers, "shopper-events")
    (first,) = await topic.write([Record(b"demo/u:ana", b"before")], within=20)
    assert isinstance(first, Position)
    own_kafka.kill()
    (second,) = await topic.write([Record(b"demo/u:ana", b"meanwhile")], within=1)
    assert isinstance(second, Unacknowledged)
    own_kafka.start()

    async def acknowledged() -> bool:
        (third,) = await topic.write([Record(b"demo/u:ana", b"after")], within=5)
        return isinstance(third, Position)

    await eventually_async(acknowledged, within=60)
    await topic.close()
    found = [each.value for each in await records(own_kafka.servers, "shopper-events")]
    assert found[:2] == [b"before", b"meanwhile"]
    assert set(found[2:]) == {b"after"}


async def test_a_topic_that_was_made_anew_has_another_id(kafka_servers: str) -> None:
    """A position never names the topic that is gone."""
    name = f"anew-{secrets.token_hex(3)}"
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_servers)
    await admin.start()
    await admin.create_topics([NewTopic(name, 1, 1, topic_configs=TIMES)])
    topic = KafkaTopic(kafka_servers, name)
    running = asyncio.create_task(topic.run(lambda: None))
    ids = set[str]()

    async def has_new_id() -> bool:
        (outcome,) = await topic.write([Record(b"k", b"v")], within=2)
        if not isinstance(outcome, Position) or outcome.topic_id in ids:
            return False
        ids.add(outcome.topic_id)
        return True

    await eventually_async(has_new_id, within=20)
    await admin.delete_topics([name])
    await eventually_async(lambda: _created(admin, name), within=20)
    await eventually_async(has_new_id, within=60)
    now = (await describe_topics(kafka_servers, [name]))[name].topic_id
    assert now in ids
    assert len(ids) == 2
    running.cancel()
    await topic.close()
    await admin.close()


async def _created(admin: AIOKafkaAdminClient, name: str) -> bool:
    answer = await admin.create_topics([NewTopic(name, 1, 1, topic_configs=TIMES)])
    return all(code == 0 for _, code, *_ in answer.topic_errors)


@pytest.mark.parametrize(
    ("settings", "named"),
    [({}, "LogAppendTime"), ({**TIMES, "max.message.bytes": "60000"}, "max.message.bytes")],
)
async def test_a_topic_that_is_kept_wrongly(
    kafka_servers: str, settings: dict[str, str], named: str
) -> None:
    """A producer's clock, and less room than an event needs: said at once, in a sentence."""
    name = f"wrong-{secrets.token_hex(3)}"
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_servers)
    await admin.start()
    await admin.create_topics([NewTopic(name, 1, 1, topic_configs=settings)])
    await admin.close()
    with pytest.raises(BadSetting, match=named):
        await connected(kafka_servers, name)


async def test_a_topic_that_is_missing(kafka_servers: str) -> None:
    """It is named, and waited for."""
    with pytest.raises(KafkaUnavailable, match="no topic missing-events"):
        await KafkaTopic(kafka_servers, "missing-events").connect()
