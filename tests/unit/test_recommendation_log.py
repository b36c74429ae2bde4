"""Logging answers: never in the way of one, bounded, and not lost to what passes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import pytest
from kafka.partitioner.default import murmur2
from prometheus_client import REGISTRY

from services.attribution.adapters.stream import partition_of as attribution_partition_of
from services.recommendations.adapters import recommendation_log
from services.recommendations.adapters.letter_key_cache import (
    PEOPLE,
    REMEMBERED_SECONDS,
    RememberedLetterKeys,
)
from services.recommendations.adapters.log_topic import MemoryLogTopic, partition_of
from services.recommendations.adapters.recommendation_log import ROUND, RecommendationLog
from services.shared.attribution_rule import Attribution
from services.shared.consent import Consent, write_consent
from services.shared.letter_keys import MemoryLetterKeys, Person
from services.shared.logged_answer import (
    AnswerUnreadable,
    LoggedAnswer,
    LoggedProduct,
    read_answer,
    write_answer,
)
from services.shared.sealed_answers import SealedAnswers, pseudonym_of
from services.shared.sealing import MasterKey, Seal, SealBroken
from tests.attribution_parts import answer, micros
from tests.profile_events import NOON
from tests.waiting import eventually_async

MASTER = MasterKey(bytes(range(32)))
ANA = b"demo/u:ana"
FULL = LoggedAnswer(
    attribution_token="t",
    shop_id="demo",
    user_id="ana",
    visitor_id="v1",
    answered_at=1_800_000_000_123_456,
    took=4_321,
    method="RankProducts",
    scenario="search",
    source=8,
    fallback_cause=4,
    model_version="m1",
    arms=(("calm", "b"), ("price", "control")),
    products=(LoggedProduct("mug", "acme", 0.25, 3), LoggedProduct("lamp")),
    attribution=Attribution(window_hours=24, credit="every", after="impression"),
)


@pytest.fixture(autouse=True)
def without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is away is asked again at once."""
    monkeypatch.setattr(recommendation_log, "LINGER_SECONDS", 0.0)
    monkeypatch.setattr(recommendation_log, "PAUSE_SECONDS", 0.0)


def dropped(cause: str) -> float:
    return REGISTRY.get_sample_value("recommendation_log_dropped_total", {"cause": cause}) or 0.0


class Parts:
    """A log on fakes, and what it has written."""

    def __init__(self, waiting: int = 10_000, keys: MemoryLetterKeys | None = None) -> None:
        self.keys = keys or MemoryLetterKeys(MASTER)
        self.answers = SealedAnswers(MASTER, self.keys)
        self.topic = MemoryLogTopic()
        self.log = RecommendationLog(self.topic, self.answers, waiting=waiting)

    async def tokens(self) -> list[str]:
        """Of the answers that can be read in the topic."""
        sealed = [(one.key, one.value, one.headers) for one in self.topic.records]
        return [one.attribution_token for one in await self.answers.open(sealed) if one]


async def stopped(job: asyncio.Task[None]) -> None:
    """End a job as the server does."""
    job.cancel()
    (result,) = await asyncio.gather(job, return_exceptions=True)
    assert isinstance(result, asyncio.CancelledError)


async def test_what_was_logged_can_be_read() -> None:
    """In order, by who has the keys; the record names nobody and says nothing in the clear."""
    parts = Parts()
    job = asyncio.create_task(parts.log.run())
    for number in range(ROUND + 3):
        parts.log.log(answer(f"t{number}"))
    await eventually_async(
        lambda: asyncio.sleep(0, len(parts.topic.records) == ROUND + 3), within=9
    )
    assert await parts.tokens() == [f"t{number}" for number in range(ROUND + 3)]
    one = parts.topic.records[0]
    assert one.placed_by == ANA
    assert pseudonym_of(one.key) == MASTER.pseudonym(ANA)
    assert b"ana" not in one.key + one.value + b"".join(text for _, text in one.headers)
    await stopped(job)


async def test_kafka_that_is_away() -> None:
    """Answers wait; those that come when the queue is full are dropped and counted."""
    parts, before = Parts(waiting=3), dropped("full")
    parts.topic.away = True
    job = asyncio.create_task(parts.log.run())
    for number in range(5):
        parts.log.log(answer(f"t{number}"))
        await asyncio.sleep(0)
    assert dropped("full") == before + 2
    parts.topic.away = False
    await eventually_async(lambda: asyncio.sleep(0, len(parts.topic.records) == 3), within=30)
    assert await parts.tokens() == ["t0", "t1", "t2"]
    await stopped(job)


async def test_a_server_that_ends() -> None:
    """What is left is logged first; what cannot be is counted."""
    parts, before = Parts(), dropped("end")
    job = asyncio.create_task(parts.log.run())
    await asyncio.sleep(0)
    parts.log.log(answer("t"))
    await stopped(job)
    assert await parts.tokens() == ["t"]
    parts.topic.away = True
    job = asyncio.create_task(parts.log.run())
    await asyncio.sleep(0)
    parts.log.log(answer("late"))
    await stopped(job)
    assert dropped("end") == before + 1


class DamagedKeys(MemoryLetterKeys):
    """Keys, of which eve's cannot be unwrapped."""

    damaged = True

    async def for_sealing(self, people: Sequence[bytes]) -> list[Person]:
        if self.damaged and b"demo/u:eve" in people:
            raise SealBroken("damaged")
        return await super().for_sealing(people)

    async def for_opening(self, pseudonyms: Sequence[bytes]) -> list[Seal | None]:
        if MASTER.pseudonym(b"demo/u:eve") in pseudonyms:
            raise SealBroken("damaged")
        return await super().for_opening(pseudonyms)


@pytest.mark.parametrize("damaged", ["key", "consent"])
async def test_what_is_damaged_of_one_person(damaged: str) -> None:
    """That person's answers are dropped and counted, and nobody else's."""
    parts, before = Parts(), dropped("key")
    if damaged == "key":
        parts = Parts(keys=DamagedKeys(MASTER))
    parts.keys.consents[b"demo/u:eve"] = b"" if damaged == "key" else b"no consent"
    job = asyncio.create_task(parts.log.run())
    for name in ("ana", "eve", "ben"):
        parts.log.log(answer(f"t-{name}", user=name))
    await eventually_async(lambda: asyncio.sleep(0, len(parts.topic.records) == 2), within=30)
    assert dropped("key") == before + 1
    assert await parts.tokens() == ["t-ana", "t-ben"]
    await stopped(job)


async def test_a_damaged_key_among_records_that_are_read() -> None:
    """Its records say nothing; those of others beside them open."""
    keys = DamagedKeys(MASTER)
    keys.damaged, answers = False, SealedAnswers(MASTER, keys)
    sealed = await answers.seal([answer("t", user="eve"), answer("t2")])
    opened = await answers.open([(one.key, one.value, one.headers) for one in sealed])
    assert opened == [None, answer("t2")]


async def test_who_was_erased() -> None:
    """No answer of before opens, nor one that is sealed after but was given before."""
    parts = Parts()
    before, after = answer("t", at=NOON), answer("t2", at=NOON)
    parts.topic.records += await parts.answers.seal([before])
    await parts.keys.erase([ANA])
    parts.keys.consents[ANA] = write_consent(Consent(erased_at=micros(NOON)))
    parts.topic.records += await parts.answers.seal([after])
    assert await parts.tokens() == []


async def test_an_answer_that_named_nobody() -> None:
    """It is sealed for the shop, and lies where its token says."""
    parts = Parts()
    (one,) = parts.topic.records = await parts.answers.seal([answer("t", user="")])
    assert (one.placed_by, one.key) == (b"t", b"demo/-")
    assert await parts.tokens() == ["t"]


async def test_records_that_are_not_whole() -> None:
    """Another's key, headers of another release and another master key open nothing."""
    parts = Parts()
    (one,) = await parts.answers.seal([answer("t")])
    (other,) = await parts.answers.seal([answer("t", user="ben")])
    theirs = SealedAnswers(MasterKey(bytes(32)), parts.keys)
    assert await parts.answers.open([(other.key, one.value, other.headers)]) == [None]
    assert await parts.answers.open([(other.key, one.value, one.headers)]) == [None]
    assert await parts.answers.open([(one.key, one.value, one.headers[1:])]) == [None]
    assert await theirs.open([(one.key, one.value, one.headers)]) == [None]
    assert await parts.answers.open([(one.key, one.value, one.headers)]) == [answer("t")]


@pytest.mark.parametrize("one", [FULL, answer("t"), answer("t", user="", products=())])
def test_an_answer_as_bytes(one: LoggedAnswer) -> None:
    """It is read as it was written, with its rule."""
    assert read_answer(write_answer(one)) == one


def test_an_answer_of_another_release() -> None:
    """Without a rule the usual one holds; what is no message is refused."""
    assert read_answer(b"\x0a\x01t") == LoggedAnswer(
        attribution_token="t", shop_id="", answered_at=0, method="", scenario="", source=0
    )
    with pytest.raises(AnswerUnreadable):
        read_answer(b"\xff")


class Clock:
    """Seconds, as told."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


async def test_keys_are_remembered_for_a_minute() -> None:
    """Redis is asked once for each person and minute; an erasure takes effect within it."""
    asked: list[bytes] = []

    class Counting(MemoryLetterKeys):
        async def for_sealing(self, people: Sequence[bytes]) -> list[Person]:
            asked.extend(people)
            return await super().for_sealing(people)

    clock, keys = Clock(), Counting(MASTER)
    ours = RememberedLetterKeys(keys, clock=clock)
    first = await ours.for_sealing([ANA, b"demo/u:ben"])
    assert await ours.for_sealing([b"demo/u:ben", ANA]) == first[::-1]
    assert asked == [ANA, b"demo/u:ben"]
    await keys.erase([ANA])
    assert await ours.for_sealing([ANA]) == first[:1]
    clock.now = REMEMBERED_SECONDS
    assert await ours.for_sealing([ANA]) != first[:1]
    assert await ours.for_opening([MASTER.pseudonym(ANA)]) != [None]


async def test_keys_of_many_people() -> None:
    """So many are remembered at most, those that were asked for last."""
    ours = RememberedLetterKeys(MemoryLetterKeys(MASTER), clock=Clock())
    first, *_ = await ours.for_sealing([b"demo/u:%d" % number for number in range(PEOPLE)])
    assert await ours.for_sealing([b"demo/u:0"]) == [first]
    await ours.for_sealing([ANA])
    assert len(ours._known) == PEOPLE


@pytest.mark.parametrize("chosen", [partition_of, attribution_partition_of])
def test_where_an_answer_lies(chosen: Callable[[bytes, int], int]) -> None:
    """In the partition that other clients choose for the events of the same key."""
    keys = [b"demo/u:%d" % number for number in range(50)]
    assert [chosen(key, 7) for key in keys] == [(murmur2(key) & 0x7FFFFFFF) % 7 for key in keys]
