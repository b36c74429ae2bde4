"""The worker: what waits for disks, and what is read again."""

from __future__ import annotations

import asyncio

import pytest

from services.profiles.adapters.durability import MemoryDurability
from services.profiles.adapters.trends import MemoryTrends, Place
from services.shared.errors import RedisUnavailable
from tests.waiting import eventually_async
from tests.worker_in_memory import TP0, TP1, Works, batches


class Disk(MemoryDurability):
    """A disk that is slow, or fails."""

    def __init__(self) -> None:
        super().__init__()
        self.go = asyncio.Event()
        self.fails = False
        self.begun = self.asked = 0

    async def begin(self, on: str = "") -> int:
        self.begun += 1
        return await super().begin(on)

    async def wait(self, mark: int) -> None:
        self.asked += 1
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

    await eventually_async(are_folded, within=30)
    assert works.safe(TP0) == 0
    assert not await works.worker.finish(within=0.05)
    disk.go.set()
    assert await works.worker.finish(within=5)
    assert works.safe(TP0) == 2


async def test_one_question_to_the_disk_speaks_for_all_before_it() -> None:
    """However many batches were folded meanwhile; a partition does not wait for each."""
    disk = Disk()
    works = Works(batches(), disk)
    for at in range(50):
        works.put(TP0, at)

        async def is_folded(end: int = at + 1) -> bool:
            return works.positions.expected(TP0) == end

        await eventually_async(is_folded, within=30)
    assert (disk.asked, works.safe(TP0)) == (1, 0)
    disk.go.set()
    await works.until_safe(TP0, 50)
    assert disk.asked == 2
    works.running.cancel()


async def test_more_than_may_be_unsafe(monkeypatch: pytest.MonkeyPatch) -> None:
    """A partition waits for the disk; the others do not."""
    monkeypatch.setattr("services.profiles.worker.UNSAFE_EVENTS", 3)
    disk = Disk()
    works = Works(batches(), disk)
    works.put(TP0, 0, 1, 2)
    works.put(TP1, 0)

    async def are_folded() -> bool:
        return (works.positions.expected(TP0), works.positions.expected(TP1)) == (3, 1)

    await eventually_async(are_folded, within=30)
    works.put(TP0, 3)
    works.put(TP1, 1)

    async def goes_on() -> bool:
        return works.positions.expected(TP1) == 2

    await eventually_async(goes_on, within=30)
    assert works.positions.expected(TP0) == 3
    disk.go.set()
    await works.until_safe(TP0, 4)
    works.running.cancel()


async def test_what_is_not_safe_is_read_again() -> None:
    """A write that may be lost: its events, and all behind them, are folded once more."""
    disk = Disk()
    works = Works(batches(), disk)
    works.put(TP0, 0)
    disk.fails = True
    disk.go.set()

    async def is_read_again() -> bool:
        return bool(works.read_again)

    await eventually_async(is_read_again, within=30)
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

    await eventually_async(is_tried_again, within=30)
    await works.worker.rewind({TP0: 0})
    works.redis_seen = "another"
    works.put(TP0, 0)  # behind the other
    await works.until_safe(TP0, 1)
    assert isinstance(through.trends, MemoryTrends)
    assert await through.trends.fences([Place(0, "demo")]) == [1]
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

    await eventually_async(is_tried_again, within=30)
    works.redis_seen = "another"

    async def is_read_again() -> bool:
        return works.read_again == [(TP0, 0)]

    await eventually_async(is_read_again, within=30)
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
    await eventually_async(has_looked, within=30)
    works.put(TP0, 3)
    await works.until_safe(TP0, 4)
    assert works.looks == 1
    works.is_made_anew = True
    works.put(TP0, 0)

    async def is_read_again() -> bool:
        return works.read_again == [(TP0, 0)]

    await eventually_async(is_read_again, within=30)
    assert isinstance(through.trends, MemoryTrends)
    assert await through.trends.fences([Place(0, "demo")]) == [4]
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

    await eventually_async(is_taken, within=30)
    works.may_read_again.set()
    await rewinding

    async def is_asked_for_again() -> bool:
        return works.read_again.count((TP1, 0)) == 2

    await eventually_async(is_asked_for_again, within=30)
    assert isinstance(through.trends, MemoryTrends)
    assert await through.trends.fences([Place(1, "demo")]) == [1]
    works.running.cancel()
