"""The worker: batches that fail, overlap, are tried again, and wait for disks."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import mode
import pytest

from services.profiles.adapters.backlog import Batch
from services.profiles.adapters.dead_letters import MemoryDeadLetters
from services.profiles.adapters.durability import MemoryDurability
from services.profiles.adapters.trends import MemoryTrends
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

    await eventually_async(is_tried, within=5)
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

    await eventually_async(is_asked, within=5)
    works.put(TP1, 0)
    works.put(TP0, 1)
    await works.until_safe(TP1, 1)
    assert (works.safe(TP0), len(store.asked)) == (0, 2)
    store.go.set()
    await works.until_safe(TP0, 2)
    works.running.cancel()


class Disk(MemoryDurability):
    """A disk that is slow, or fails."""

    def __init__(self) -> None:
        super().__init__()
        self.go = asyncio.Event()
        self.fails = False
        self.begun = 0

    async def begin(self, on: str = "") -> int:
        self.begun += 1
        return await super().begin(on)

    async def wait(self, mark: int) -> None:
        await self.go.wait()
        if self.fails:
            self.fails = False
            raise RedisUnavailable("not on disk")


async def test_what_is_folded_is_committed_once_it_is_safe() -> None:
    """The next batch does not wait for the disk, commits do, and so does the end."""
    disk = Disk()
    works = Works(batches(), disk)
    works.put(TP0, 0)
    works.put(TP0, 1)

    async def are_folded() -> bool:
        return works.positions.expected(TP0) == 2

    await eventually_async(are_folded, within=5)
    assert works.safe(TP0) == 0
    assert not await works.worker.finish(within=0.05)
    disk.go.set()
    assert await works.worker.finish(within=5)
    assert works.safe(TP0) == 2


async def test_what_is_not_safe_is_read_again() -> None:
    """A write that may be lost: its events, and all behind them, are folded once more."""
    disk = Disk()
    works = Works(batches(), disk)
    works.put(TP0, 0)
    disk.fails = True
    disk.go.set()

    async def is_read_again() -> bool:
        return bool(works.read_again)

    await eventually_async(is_read_again, within=5)
    assert works.read_again == [(TP0, 0)]
    assert (works.positions.expected(TP0), works.safe(TP0)) == (0, 0)
    works.put(TP0, 0, 1)
    await works.until_safe(TP0, 2)
    works.running.cancel()


async def test_another_redis_gets_nothing_that_was_begun_before() -> None:
    """A batch whose Redis has changed waits until that is seen, and then is not written."""
    disk, through = Disk(), batches()
    disk.go.set()
    works = Works(through, disk)
    works.put(TP0, 0)
    await works.until_safe(TP0, 1)
    disk.replication_id = "another"
    works.put(TP0, 1)

    async def is_tried_again() -> bool:
        return disk.begun == 3

    await eventually_async(is_tried_again, within=5)
    await works.worker.rewind({TP0: 0})
    works.redis_seen = "another"
    works.put(TP0, 0)  # behind the other
    await works.until_safe(TP0, 1)
    assert isinstance(through.trends, MemoryTrends)
    assert await through.trends.fences(0, ["demo"]) == [1]
    works.running.cancel()


async def test_another_redis_of_a_partition_that_was_not_rewound() -> None:
    """Its batch is read again: none of it was to be folded again, but it was not folded."""
    disk = Disk()
    disk.go.set()
    works = Works(batches(), disk)
    disk.replication_id = "another"
    works.put(TP0, 0)

    async def is_tried_again() -> bool:
        return disk.begun == 2

    await eventually_async(is_tried_again, within=5)
    works.redis_seen = "another"

    async def is_read_again() -> bool:
        return works.read_again == [(TP0, 0)]

    await eventually_async(is_read_again, within=5)
    works.put(TP0, 0)
    await works.until_safe(TP0, 1)
    works.running.cancel()


async def test_offsets_that_go_back() -> None:
    """A topic that was made anew is read from its start before anything of it is folded."""
    through = batches()
    works = Works(through)

    async def has_looked() -> bool:
        return works.looks == 1

    works.put(TP0, 0, 1, 2)
    await works.until_safe(TP0, 3)
    works.put(TP0, 1)  # of the same topic: folded again, which changes nothing
    await eventually_async(has_looked, within=5)
    works.put(TP0, 3)
    await works.until_safe(TP0, 4)
    assert works.looks == 1
    works.is_made_anew = True
    works.put(TP0, 0)

    async def is_read_again() -> bool:
        return works.read_again == [(TP0, 0)]

    await eventually_async(is_read_again, within=5)
    assert isinstance(through.trends, MemoryTrends)
    assert await through.trends.fences(0, ["demo"]) == [4]
    works.put(TP0, 0, 1)
    await works.until_safe(TP0, 2)
    works.running.cancel()


async def test_partitions_go_back_at_one_moment() -> None:
    """While the consumer is told of the first, nothing is folded where the others were."""
    through = batches()
    works = Works(through)
    for tp in (TP0, TP1):
        works.put(tp, 0)
        await works.until_safe(tp, 1)
    works.may_read_again.clear()
    rewinding = asyncio.create_task(works.worker.rewind({TP0: 0, TP1: 0}))
    await asyncio.sleep(0)
    works.put(TP1, 1)  # fetched before

    async def is_taken() -> bool:
        return not works.backlog.has(TP1)

    await eventually_async(is_taken, within=5)
    works.may_read_again.set()
    await rewinding

    async def is_asked_for_again() -> bool:
        return works.read_again.count((TP1, 0)) == 2

    await eventually_async(is_asked_for_again, within=5)
    assert isinstance(through.trends, MemoryTrends)
    assert await through.trends.fences(1, ["demo"]) == [1]
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

    await eventually_async(is_not_ready, within=5)
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

    await eventually_async(is_known, within=5)
    assert worker.idle(ends) == []
    assert worker.idle(ends) == [(TP0, 0)]
    works.put(TP0, 0)
    assert worker.idle(ends) == []
    await works.until_safe(TP0, 1)
    assert worker.idle(ends) == []
    assert worker.idle(ends) == [(TP0, 1)]
    works.running.cancel()
