"""What holds a running worker together: positions, insisting, handling."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import mode
import pytest
from faust.types import TP

from services.profiles.adapters.backlog import Backlog, Batch
from services.profiles.adapters.dead_letters import MemoryDeadLetters
from services.profiles.adapters.durability import MemoryDurability
from services.profiles.adapters.stream import EventsSkipped, Positions
from services.profiles.adapters.trends import MemoryTrends
from services.profiles.batches import Batches
from services.profiles.running import fail_with
from services.profiles.worker import LAG_EVENTS, Readiness, Worker, insist
from services.shared.errors import KafkaUnavailable, RedisUnavailable
from services.shared.health import Health
from services.shared.profile import Profile
from services.shared.profile_store import MemoryProfileStore
from tests.profile_events import record, view

TP0, TP1 = TP("shopper-events", 0), TP("shopper-events", 1)


class Kafka:
    """Where reading begins, and the offsets that hold a record."""

    def __init__(self, start: int, *there: int) -> None:
        self.start, self.there = start, there

    async def start_of(self, tp: TP) -> int:
        return self.start

    async def first_from(self, tp: TP, offset: int) -> int:
        return min(at for at in self.there if at >= offset)


def positions(start: int, *there: int) -> Positions:
    kafka = Kafka(start, *there)
    return Positions(kafka.start_of, kafka.first_from)


async def test_positions_commit_what_is_done() -> None:
    """A batch's end is to be committed, once; an earlier batch repeated takes nothing back."""
    at = positions(10)
    await at.check(TP0, 1, 10)
    assert at.to_commit(1) == {TP0: 10}
    at.done(TP0, 15)
    assert at.to_commit(1) == {TP0: 15}
    at.committed({TP0: 15})
    assert at.to_commit(1) == {}
    await at.check(TP0, 1, 12)
    at.done(TP0, 14)
    assert at.to_commit(1) == {}
    assert (at.done_to(TP0), at.done_to(TP1)) == (15, None)


async def test_positions_of_an_older_generation_are_not_committed() -> None:
    """What was held before a rebalance may be behind what another worker has committed."""
    at = positions(10)
    await at.check(TP0, 1, 10)
    at.done(TP0, 15)
    assert at.to_commit(2) == {}


async def test_events_that_faust_passed_over_end_the_worker() -> None:
    """A batch behind a hole that Kafka can fill is refused, at the start and later."""
    at = positions(10, 10, 11, 12, 13, 20)
    with pytest.raises(EventsSkipped, match="10 to 12"):
        await at.check(TP0, 1, 13)
    await at.check(TP0, 1, 10)
    at.done(TP0, 12)
    with pytest.raises(EventsSkipped, match="12 to 12"):
        await at.check(TP0, 1, 13)


async def test_a_hole_that_kafka_has_too() -> None:
    """Offsets that hold no record, such as a transaction's end, are passed over rightly."""
    at = positions(10, 10, 11, 14)
    await at.check(TP0, 1, 10)
    at.done(TP0, 12)
    await at.check(TP0, 1, 14)


async def test_a_new_generation_begins_at_the_commit() -> None:
    """After a rebalance the next batch is held against the group's commit, not our memory."""
    kafka = Kafka(10, *range(200))
    at = Positions(kafka.start_of, kafka.first_from)
    await at.check(TP0, 1, 10)
    at.done(TP0, 15)
    at.committed({TP0: 15})
    await at.check(TP0, 2, 10)
    at.done(TP0, 15)
    assert at.to_commit(2) == {TP0: 15}  # although an earlier generation has committed it
    kafka.start = 100
    await at.check(TP0, 3, 100)
    with pytest.raises(EventsSkipped):
        await at.check(TP0, 4, 101)


async def test_positions_are_asked_for_ahead_of_the_first_batch() -> None:
    """All at once when partitions are assigned; what failed then is asked again when needed."""
    kafka, asked = Kafka(10, *range(200)), []
    away = True

    async def start_of(tp: TP) -> int:
        asked.append(tp)
        if away and tp == TP1:
            raise KafkaUnavailable("away")
        return await kafka.start_of(tp)

    at = Positions(start_of, kafka.first_from)
    at.assigned([TP0, TP1])
    await asyncio.sleep(0)
    assert asked == [TP0, TP1]
    await at.check(TP0, 1, 10)
    with pytest.raises(KafkaUnavailable):
        await at.check(TP1, 1, 10)
    away = False
    await at.check(TP1, 1, 10)
    assert asked == [TP0, TP1, TP1]
    at.assigned([TP0])
    kafka.start = 50  # another worker has committed meanwhile
    await at.check(TP0, 2, 50)
    assert at.to_commit(2) == {TP0: 50}


async def test_a_partition_whose_events_do_not_come_is_looked_at_again() -> None:
    """Twice behind at the same place with nothing waiting; not while it moves or is in hand."""
    at, backlog = positions(10), Backlog()
    worker = Worker(batches(), at)
    ends = [(TP0, 15), (TP1, 10)]
    assert worker.idle(ends, backlog) == []  # not known yet where they begin
    at.assigned([TP0, TP1])
    await asyncio.sleep(0)
    assert worker.idle(ends, backlog) == []
    assert worker.idle(ends, backlog) == [(TP0, 10)]
    backlog.put(Batch(TP0, 1, [record(view(1), 10)]))
    assert worker.idle(ends, backlog) == []
    await worker.handle(await backlog.take())
    assert worker.idle(ends, backlog) == []
    assert worker.idle(ends, backlog) == [(TP0, 11)]


async def test_insist_until_it_works() -> None:
    """What is away is asked again until it answers; an error of another kind passes through."""
    tries: list[int] = []

    async def attempt() -> None:
        tries.append(1)
        if len(tries) < 3:
            raise RedisUnavailable("away")

    await insist(attempt, doing="test")
    assert len(tries) == 3

    async def wrong() -> None:
        raise ValueError("ours")

    with pytest.raises(ValueError, match="ours"):
        await insist(wrong, doing="test")


async def test_insist_gives_up_when_told() -> None:
    """Once the process is to end, what is away is no longer waited for."""

    async def attempt() -> None:
        raise RedisUnavailable("away")

    with pytest.raises(RedisUnavailable):
        await insist(attempt, doing="test", giving_up=lambda: True)


class Broken(MemoryProfileStore):
    """A store with a mistake of ours in it, or one that is away."""

    error: Exception = ValueError("a bug")

    async def read(self, subjects: Sequence[tuple[str, str]]) -> list[tuple[Profile, int]]:
        raise self.error


def batches() -> Batches:
    return Batches(
        topic="shopper-events",
        topic_id="id",
        store=MemoryProfileStore(),
        trends=MemoryTrends(),
        dead_letters=MemoryDeadLetters(),
        durability=MemoryDurability(),
        age_limit=timedelta(days=7),
        retention=timedelta(days=90),
    )


def test_readiness_needs_partitions_and_redis() -> None:
    """Both must be there, in whatever order they come, and neither may go."""
    health = Health()
    readiness = Readiness(health)
    told = []
    for change, what in (
        (readiness.has, "redis"),
        (readiness.has, "partitions"),
        (readiness.lacks, "partitions"),
        (readiness.has, "redis"),
        (readiness.has, "partitions"),
        (readiness.lacks, "redis"),
    ):
        change(what)
        told.append(health.is_ready)
    assert told == [False, True, False, False, True, False]


def test_once_ending_a_worker_is_not_ready_again() -> None:
    """Redis that answers while the last batch is finished brings no new work."""
    health = Health()
    readiness = Readiness(health)
    readiness.has("partitions")
    readiness.has("redis")
    readiness.end()
    readiness.has("redis")
    assert not health.is_ready


async def test_faust_that_crashes_is_a_failure() -> None:
    """Waiting on Faust ends without a word when it crashes; the worker must not call it a stop."""

    class Crashed(mode.Service):
        async def on_start(self) -> None:
            self.add_future(self._fail())

        async def _fail(self) -> None:
            raise OSError("the fetcher is dead")

    app, worker = Crashed(), Worker(batches(), positions(0))
    await app.start()
    with pytest.raises(OSError, match="the fetcher is dead"):
        await fail_with(app, worker)
    await app.stop()


async def test_the_lag_of_partitions_taken_away_is_not_told() -> None:
    """A sum over workers counts each partition once."""
    worker = Worker(batches(), positions(0))
    LAG_EVENTS.labels(0).set(7)
    worker.forget([TP0, TP1])
    lags = [sample for family in LAG_EVENTS.collect() for sample in family.samples]
    assert not [sample for sample in lags if sample.labels["partition"] in ("0", "1")]


async def test_nothing_is_committed_past_a_bug() -> None:
    """A batch that fails is not done, later ones are not taken, the worker tells."""
    at = positions(0)
    worker = Worker(replace(batches(), store=Broken()), at)
    task = asyncio.create_task(worker.handle(Batch(TP0, 1, [record(view(1), 0)])))
    with pytest.raises(ValueError, match="a bug"):
        await worker.failed
    later = asyncio.create_task(worker.handle(Batch(TP1, 1, [record(view(2), 0)])))
    assert await worker.finish(within=1)
    assert at.to_commit(1) == {TP0: 0}
    assert not task.done()
    assert not later.done()
    task.cancel()
    later.cancel()


async def test_finishing_while_redis_is_away() -> None:
    """A batch that cannot be kept is given up uncommitted, which is no failure."""
    store = Broken()
    store.error = RedisUnavailable("away")
    at = positions(0)
    worker = Worker(replace(batches(), store=store), at)
    task = asyncio.create_task(worker.handle(Batch(TP0, 1, [record(view(1), 0)])))
    assert await worker.finish(within=5)
    assert not worker.failed.done()
    assert at.to_commit(1) in ({}, {TP0: 0})
    task.cancel()
