"""Where answers are logged to: the same cases on the fake and on a real Kafka."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from deploy.local.kafka import EmbeddedKafka
from deploy.local.topics import create_topics
from services.recommendations.adapters import log_topic
from services.recommendations.adapters.log_topic import (
    BATCH_BYTES,
    KafkaLogTopic,
    LogTopic,
    MemoryLogTopic,
)
from services.recommendations.adapters.recommendation_log import RecommendationLog
from services.shared.errors import KafkaUnavailable
from services.shared.letter_keys import MemoryLetterKeys
from services.shared.sealed_answers import AnswerRecord, SealedAnswers
from services.shared.sealing import MasterKey
from tests.attribution_parts import answer
from tests.worker_kafka import producer, records

MASTER = MasterKey(bytes(range(32)))
TOPIC = "recommendation-log"


@pytest.fixture
def answers() -> SealedAnswers:
    return SealedAnswers(MASTER, MemoryLetterKeys(MASTER))


class Kept:
    """A topic, and what it holds."""

    def __init__(self, topic: LogTopic, servers: str, prefix: str) -> None:
        self.topic = topic
        self._servers = servers
        self._prefix = prefix

    async def values(self) -> set[bytes]:
        """All of them."""
        if isinstance(self.topic, MemoryLogTopic):
            return {one.value for one in self.topic.records}
        return {one.value or b"" for one in await records(self._servers, self._prefix + TOPIC)}


@pytest.fixture(params=["memory", "kafka"])
async def kept(
    request: pytest.FixtureRequest, kafka_servers: str, topic_prefix: str
) -> AsyncIterator[Kept]:
    topic = KafkaLogTopic(kafka_servers, topic_prefix + TOPIC)
    yield Kept(
        MemoryLogTopic() if request.param == "memory" else topic, kafka_servers, topic_prefix
    )
    await topic.close()


async def test_all_records_are_kept(kept: Kept, answers: SealedAnswers) -> None:
    """Also more than a batch holds, none at all, and one that is larger than a batch."""
    listed = [f"product-{number}" for number in range(1_000)]
    sealed = await answers.seal([answer(f"t{n}", listed, user=f"u{n % 3}") for n in range(60)])
    huge = AnswerRecord(b"demo/u:u0", b"demo/-", bytes(BATCH_BYTES + 1), [])
    assert sum(len(one.value) for one in sealed) > 3 * BATCH_BYTES
    await kept.topic.write([])
    await kept.topic.write([*sealed, huge])
    await kept.topic.close()
    await kept.topic.write(await answers.seal([answer("last")]))
    assert {one.value for one in sealed} | {huge.value} < await kept.values()
    assert len(await kept.values()) == 62


async def test_an_answer_lies_where_its_shopper_s_events_do(
    kafka_servers: str, topic_prefix: str, answers: SealedAnswers
) -> None:
    """In the partition that a producer of events chooses by the key."""
    users = [f"u{number}" for number in range(20)]
    topic = KafkaLogTopic(kafka_servers, topic_prefix + TOPIC)
    sealed = await answers.seal([answer(user, user=user) for user in users])
    await topic.write(sealed)
    await topic.close()
    async with producer(kafka_servers) as to:
        for user in users:
            key = f"demo/u:{user}".encode()
            await to.send_and_wait(topic_prefix + "shopper-events", b"x", key)
    chosen = {
        one.key: one.partition
        for one in await records(kafka_servers, topic_prefix + "shopper-events")
    }
    logged = {
        one.value: one.partition for one in await records(kafka_servers, topic_prefix + TOPIC)
    }
    assert {one.placed_by: logged[one.value] for one in sealed} == chosen
    assert len(set(chosen.values())) == 4


async def test_kafka_that_comes_back(
    own_kafka: EmbeddedKafka, answers: SealedAnswers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was not acknowledged is said to be so; a later write finds Kafka again."""
    monkeypatch.setattr(log_topic, "DEADLINE_SECONDS", 3.0)
    await create_topics(own_kafka.servers)
    topic = KafkaLogTopic(own_kafka.servers, TOPIC)
    await topic.write(await answers.seal([answer("t1")]))
    own_kafka.kill()
    with pytest.raises(KafkaUnavailable):
        await topic.write(await answers.seal([answer("t2")]))
    own_kafka.start()
    monkeypatch.setattr(log_topic, "DEADLINE_SECONDS", 15.0)
    log = RecommendationLog(topic, answers)
    log.log(answer("t3"))
    await log._finish()
    sealed = [(one.key, one.value, one.headers) for one in await records(own_kafka.servers, TOPIC)]
    tokens = {one.attribution_token for one in await answers.open(sealed) if one}
    assert {"t1", "t3"} <= tokens
