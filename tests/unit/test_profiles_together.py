"""Batches of several partitions that are kept together: as if each had been kept alone."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from faust.types import TP

from services.profiles.adapters.backlog import Batch
from services.profiles.adapters.dead_letters import MemoryDeadLetters
from services.profiles.adapters.trends import MemoryTrends, Place
from services.profiles.worker import ROUNDS
from services.shared.dead_letter import Refused
from services.shared.profile_store import MemoryProfileStore, Stored, read_profiles
from tests.profile_events import NOON, FakeRecord, plain, record, shopping, view
from tests.profile_oracle import Event, recompute, trend_counts
from tests.waiting import eventually_async
from tests.worker_in_memory import TOPIC, TP0, RacedTrends, Works, batches

APPENDED = int(NOON.timestamp()) * 1_000_000
PARTITIONS = 3

Spread = Callable[[int, Event], int]


def by_shopper(_: int, one: Event) -> int:
    """As producers do."""
    return ["ana", "bob", "eve"].index(one["userId"])


def by_number(number: int, _: Event) -> int:
    """As a producer with another partitioner does: a shopper is in several."""
    return number % PARTITIONS


def spread(some: Sequence[Event], to: Spread) -> list[list[FakeRecord]]:
    """The records of each partition."""
    partitions: list[list[FakeRecord]] = [[] for _ in range(PARTITIONS)]
    for number, one in enumerate(some):
        partition = partitions[to(number, one)]
        partition.append(record(one, len(partition)))
    return partitions


@pytest.mark.parametrize("to", [by_shopper, by_number])
@pytest.mark.parametrize("seed", range(20))
async def test_any_batches_any_repetition_together(seed: int, to: Spread) -> None:
    """Of some partitions at a time, and some of it again: as the oracle."""
    chance = random.Random(seed)
    through, some = batches(), shopping(60)
    partitions = spread(some, to)
    at = [0] * PARTITIONS
    while left := [n for n in range(PARTITIONS) if at[n] < len(partitions[n])]:
        chosen = chance.sample(left, chance.randint(1, len(left)))
        sizes = {n: chance.randint(1, 15) for n in chosen}
        await through.keep(
            [through.judge(n, partitions[n][at[n] : at[n] + sizes[n]]) for n in chosen]
        )
        for n in chosen:
            at[n] = at[n] + sizes[n] if chance.random() < 0.6 else max(0, at[n] - 10)
    for user in ("ana", "bob", "eve"):
        (kept,) = await read_profiles(through.store, [("demo", f"u:{user}")])
        assert plain(kept) == recompute([one for one in some if one["userId"] == user])
    assert isinstance(through.trends, MemoryTrends)
    assert through.trends.counts == trend_counts([(one, APPENDED) for one in some], shop_id="demo")
    fences = await through.trends.fences([Place(n, "demo") for n in range(PARTITIONS)])
    assert fences == [len(each) for each in partitions]


async def test_a_fence_that_was_moved_for_one_of_them() -> None:
    """What lies beyond it is counted there; the other partition's counts are made once."""
    through = replace(batches(), trends=RacedTrends(Place(1, "demo")))
    ours = [record(view(1, "mug"), 1), record(view(2, "pen"), 2)]
    others = [record(view(3, "cup", user="bob"), 1), record(view(4, "pot", user="bob"), 2)]
    await through.keep([through.judge(0, ours), through.judge(1, others)])
    assert isinstance(through.trends, RacedTrends)
    counted = Counter({key[2]: n for key, n in through.trends.counts.items()})
    assert counted == {"theirs": 1, "mug": 1, "pen": 1, "pot": 1}


class Asked(MemoryProfileStore):
    """A store that holds up the first question, and remembers all."""

    def __init__(self, works: Callable[[], Works]) -> None:
        super().__init__()
        self.questions: list[int] = []
        self._works = works

    async def load(self, names: Sequence[bytes]) -> list[Stored]:
        self.questions.append(len(names))
        if len(self.questions) <= ROUNDS:
            await self._works().may_read_again.wait()
        return await super().load(names)


def put(works: Works, tp: TP, *offsets: int) -> None:
    """Views of a shopper whom no other partition has."""
    user = f"shopper-{tp.partition}"
    some = [record(view(f"{user}{at}", user=user), at) for at in offsets]
    works.backlog.put(Batch(tp, 1, some))


async def held_up() -> tuple[Works, Asked, list[TP]]:
    """As many rounds are under way as may be, one for each of the first partitions."""
    store = Asked(lambda: works)
    works = Works(replace(batches(), store=store))
    works.may_read_again.clear()
    partitions = [TP0._replace(partition=n) for n in range(ROUNDS + 2)]
    for count, tp in enumerate(partitions[:ROUNDS], start=1):
        put(works, tp, 0)

        async def are_asked(count: int = count) -> bool:
            return len(store.questions) == count

        await eventually_async(are_asked, within=30)
    return works, store, partitions


async def until_judged(works: Works, tp: TP) -> None:
    async def so() -> bool:
        return not works.backlog.has(tp)

    await eventually_async(so, within=30)


async def test_what_comes_while_redis_answers_goes_together() -> None:
    """Batches of the other partitions wait for no more than a round, and share the next."""
    works, store, partitions = await held_up()
    for tp in partitions[ROUNDS:]:
        put(works, tp, 0, 1)
    await until_judged(works, partitions[-1])
    works.may_read_again.set()
    for tp in partitions[ROUNDS:]:
        await works.until_safe(tp, 2)
    assert store.questions == [1] * ROUNDS + [2]
    assert all(works.safe(tp) == 1 for tp in partitions[:ROUNDS])
    works.running.cancel()


async def test_a_topic_that_is_made_anew_while_its_batch_waits() -> None:
    """The batch is counted behind the fence of the topic that it is of: the new one begins at 0."""
    works, _, partitions = await held_up()
    old, waits = works.batches[TOPIC], partitions[-1]
    put(works, waits, 0, 1)
    await until_judged(works, waits)
    new = works.batches[TOPIC] = replace(old, topic_id="new", trends=MemoryTrends())
    works.may_read_again.set()
    await works.until_safe(waits, 2)
    fence = [Place(waits.partition, "demo")]
    assert isinstance(old.trends, MemoryTrends)
    assert isinstance(new.trends, MemoryTrends)
    assert (await old.trends.fences(fence), await new.trends.fences(fence)) == ([2], [0])
    works.running.cancel()


class Stuck(MemoryDeadLetters):
    """Dead letters that are never acknowledged."""

    asked = 0

    async def send(self, refused: Sequence[Refused]) -> None:
        self.asked += bool(refused)
        await asyncio.Event().wait()


async def test_dead_letters_of_one_partition_hold_up_no_other() -> None:
    """While Kafka does not take them, its batch waits; those of its round are folded."""
    stuck = Stuck()
    works = Works(replace(batches(), dead_letters=stuck))
    works.backlog.put(Batch(TP0, 1, [FakeRecord(b"demo/u:ana", b"{", 0)]))
    others = [TP0._replace(partition=n) for n in (1, 2, 3)]
    for offset in range(3):
        for tp in others:
            put(works, tp, offset)
        for tp in others:
            await works.until_safe(tp, offset + 1)
    assert (stuck.asked, works.safe(TP0)) == (1, 0)
    works.running.cancel()
