"""What waits to be folded: in order, in turn, joined, and bounded."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from faust.types import TP
from hypothesis import given, settings
from hypothesis import strategies as st

from services.profiles.adapters.backlog import BATCH_EVENTS, Backlog, Batch

TP0, TP1 = TP("shopper-events", 0), TP("shopper-events", 1)


async def drained(backlog: Backlog, count: int) -> list[Batch]:
    """The next batches, as many as there must be."""
    taken = []
    async with asyncio.timeout(5):
        for _ in range(count):
            taken.append(await backlog.take())
            backlog.give_back(taken[-1].tp)
    return taken


async def test_batches_that_follow_one_another_become_one() -> None:
    """Of one partition and generation, in their order."""
    backlog = Backlog()
    for generation, records in ((1, "ab"), (1, "c"), (2, "d"), (2, "e")):
        backlog.put(Batch(TP0, generation, records))
    assert await drained(backlog, 2) == [Batch(TP0, 1, [*"abc"]), Batch(TP0, 2, [*"de"])]


async def test_partitions_take_turns() -> None:
    """A partition with much waits behind one with little."""
    backlog = Backlog()
    for records in (range(BATCH_EVENTS), range(BATCH_EVENTS)):
        backlog.put(Batch(TP0, 1, records))
    backlog.put(Batch(TP1, 1, "x"))
    assert [batch.tp for batch in await drained(backlog, 3)] == [TP0, TP1, TP0]


async def test_there_is_room_while_little_waits() -> None:
    """Full at its bound, and with room again as soon as something was taken."""
    backlog = Backlog(events=3)
    backlog.put(Batch(TP0, 1, "ab"))
    assert backlog.has_room.is_set()
    backlog.put(Batch(TP1, 1, "cd"))
    assert not backlog.has_room.is_set()
    await backlog.take()
    assert backlog.has_room.is_set()


async def test_what_was_taken_away_is_dropped() -> None:
    """Another worker reads it; a partition that is not known is no error."""
    backlog = Backlog(events=1)
    backlog.put(Batch(TP0, 1, "ab"))
    backlog.put(Batch(TP1, 1, "c"))
    backlog.forget([TP0, TP("other", 9)])
    assert await drained(backlog, 1) == [Batch(TP1, 1, ["c"])]
    assert backlog.has_room.is_set()


async def test_of_a_partition_one_batch_is_out() -> None:
    """The next one waits until it is given back; other partitions' do not."""
    backlog = Backlog()
    for tp, generation in ((TP0, 1), (TP0, 2), (TP1, 1)):
        backlog.put(Batch(tp, generation, "a"))
    assert (await backlog.take()).tp == TP0
    assert (await backlog.take()).tp == TP1
    taking = asyncio.create_task(backlog.take())
    await asyncio.sleep(0)
    assert (taking.done(), backlog.is_out(TP0), backlog.has(TP0)) == (False, True, True)
    backlog.give_back(TP0)
    assert await taking == Batch(TP0, 2, ["a"])


async def test_what_is_taken_away_as_soon_as_it_came() -> None:
    """Who waits is woken by it, finds nothing, and waits on."""
    backlog = Backlog()
    taking = asyncio.create_task(backlog.take())
    await asyncio.sleep(0)  # now it waits
    backlog.put(Batch(TP0, 1, "a"))
    backlog.forget([TP0])
    await asyncio.sleep(0)
    backlog.put(Batch(TP1, 1, "b"))
    assert await taking == Batch(TP1, 1, ["b"])


async def test_who_takes_waits_for_something_to_come() -> None:
    """No turning in circles meanwhile."""
    backlog = Backlog()
    taking = asyncio.create_task(backlog.take())
    await asyncio.sleep(0)
    assert not taking.done()
    backlog.put(Batch(TP0, 1, "a"))
    assert await taking == Batch(TP0, 1, ["a"])


@given(st.lists(st.tuples(st.sampled_from([TP0, TP1]), st.integers(1, BATCH_EVENTS)), max_size=30))
@settings(deadline=None)
def test_nothing_is_lost_and_each_partition_keeps_its_order(
    sizes: Sequence[tuple[TP, int]],
) -> None:
    """Whatever comes in, the same comes out, in batches that are not too large."""

    async def through() -> dict[TP, list[int]]:
        backlog, number = Backlog(), 0
        out: dict[TP, list[int]] = {TP0: [], TP1: []}
        for tp, size in sizes:
            backlog.put(Batch(tp, 1, range(number, number + size)))
            number += size
        while sum(map(len, out.values())) < number:
            batch = await backlog.take()
            assert 0 < len(batch.records) <= BATCH_EVENTS
            out[batch.tp].extend(batch.records)
            backlog.give_back(batch.tp)
        return out

    out = asyncio.run(through())
    numbers = sorted(n for each in out.values() for n in each)
    assert numbers == list(range(sum(size for _, size in sizes)))
    assert all(each == sorted(each) for each in out.values())
