"""The worker: batches that fail, overlap and are tried again."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import mode
import pytest

from services.profiles.adapters.backlog import Batch
from services.profiles.adapters.dead_letters import MemoryDeadLetters
from services.profiles.domain.refusals import AT_LEAST
from services.profiles.metrics import LAG_EVENTS
from services.profiles.readiness import NEEDED
from services.profiles.running import fail_with
from services.shared.errors import RedisUnavailable
from services.shared.profile_store import MemoryProfileStore, Stored
from tests.profile_events import FakeRecord
from tests.waiting import eventually_async
from tests.worker_in_memory import TOPIC, TP0, TP1, Works, batches


class Broken(MemoryProfileStore):
    """A store with a mistake of ours in it, or one that is away."""

    error: Exception | None = ValueError("a bug")

    async def load(self, names: Sequence[bytes]) -> list[Stored]:
        if self.error:
            raise self.error
        return await super().load(names)


async def test_faust_that_crashes_is_a_failure() -> None:
    """Waiting on Faust ends without a word when it crashes; the worker must not call it a stop."""

    class Crashed(mode.Service):
        async def on_start(self) -> None:
            self.add_future(self._fail())

        async def _fail(self) -> None:
            raise OSError("the fetcher is dead")

    app, works = Crashed(), Works(batches())
    await app.start()
    with pytest.raises(OSError, match="the fetcher is dead"):
        await fail_with(app, works.worker)
    await app.stop()
    works.running.cancel()


async def test_the_lag_of_partitions_taken_away_is_not_told() -> None:
    """A sum over workers counts each partition once."""
    works = Works(batches())
    LAG_EVENTS.labels(TOPIC, 0).set(7)
    works.worker.forget([TP0, TP1])
    lags = [sample for family in LAG_EVENTS.collect() for sample in family.samples]
    assert not [sample for sample in lags if sample.labels["topic"] == TOPIC]
    works.running.cancel()


async def test_nothing_is_committed_past_a_bug() -> None:
    """A batch that fails is not done, no other of its partition is taken, the worker tells."""
    works = Works(replace(batches(), store=Broken()))
    works.put(TP0, 0)
    with pytest.raises(ValueError, match="a bug"):
        await works.worker.failed
    works.put(TP0, 1)
    assert await works.worker.finish(within=1)
    assert (works.safe(TP0), works.backlog.has(TP0)) == (0, True)


async def test_finishing_while_redis_is_away() -> None:
    """A batch that cannot be kept is given up uncommitted, which is no failure."""
    store = Broken()
    store.error = RedisUnavailable("away")
    works = Works(replace(batches(), store=store))
    works.put(TP0, 0)

    async def is_tried() -> bool:
        return works.readiness.waits

    await eventually_async(is_tried, within=30)
    assert await works.worker.finish(within=5)
    assert not works.worker.failed.done()
    assert works.safe(TP0) == 0


class Slow(MemoryProfileStore):
    """A store that answers for one partition's shopper only when told to."""

    def __init__(self) -> None:
        super().__init__()
        self.go = asyncio.Event()
        self.asked: list[bytes] = []

    async def load(self, names: Sequence[bytes]) -> list[Stored]:
        self.asked += names
        if len(self.asked) == 1:
            await self.go.wait()
        return await super().load(names)


async def test_partitions_overlap_and_each_stays_in_order() -> None:
    """While Redis answers for one, others get on; of the one nothing else is begun."""
    store = Slow()
    works = Works(replace(batches(), store=store))
    works.put(TP0, 0)

    async def is_asked() -> bool:
        return bool(store.asked)

    await eventually_async(is_asked, within=30)
    works.put(TP1, 0)
    works.put(TP0, 1)
    await works.until_safe(TP1, 1)
    assert (works.safe(TP0), len(store.asked)) == (0, 2)
    store.go.set()
    await works.until_safe(TP0, 2)
    works.running.cancel()


async def test_a_broken_topic_is_not_drained() -> None:
    """Beyond the limit nothing becomes a dead letter, and the worker is not ready."""
    through = batches()
    works = Works(through)
    for what in NEEDED:
        works.readiness.has(what)
    assert works.health.is_ready
    works.backlog.put(Batch(TP0, 1, [FakeRecord(b"k", b"{", at) for at in range(AT_LEAST)]))

    async def is_not_ready() -> bool:
        return not works.health.is_ready

    await eventually_async(is_not_ready, within=30)
    assert isinstance(through.dead_letters, MemoryDeadLetters)
    assert await works.worker.finish(within=5)
    assert (through.dead_letters.letters, works.safe(TP0)) == ([], 0)


async def test_a_partition_whose_events_do_not_come_is_looked_at_again() -> None:
    """Twice behind at the same place with nothing waiting; not while it moves or is in hand."""
    works = Works(batches())
    worker, ends = works.worker, [(TP0, 15), (TP1, 0)]
    assert worker.idle(ends) == []  # not known yet where they begin
    works.positions.assigned([TP0, TP1])

    async def is_known() -> bool:
        return works.positions.expected(TP0) == 0

    await eventually_async(is_known, within=30)
    assert worker.idle(ends) == []
    assert worker.idle(ends) == [(TP0, 0)]
    works.put(TP0, 0)
    assert worker.idle(ends) == []
    await works.until_safe(TP0, 1)
    assert worker.idle(ends) == []
    assert worker.idle(ends) == [(TP0, 1)]
    works.running.cancel()
