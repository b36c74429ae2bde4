"""The worker tells how far a partition is folded: never before it is, and never too much."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from services.profiles.adapters.backlog import Batch
from services.profiles.adapters.dead_letters import MemoryDeadLetters
from services.profiles.adapters.durability import MemoryDurability
from services.profiles.adapters.folded import MemoryFoldedSpans, Span
from services.profiles.batches import Batches
from services.shared.consent import Consent, write_consent
from services.shared.dead_letter import Refused
from services.shared.errors import KafkaUnavailable, RedisUnavailable
from services.shared.folded import Folded
from services.shared.profile_store import MemoryProfileStore, Write
from tests.profile_events import FakeRecord, record, view
from tests.waiting import eventually_async
from tests.worker_in_memory import TP0, TP1, Works, batches

HERE = frozenset({"memory"})


class Telling(MemoryFoldedSpans):
    """Remembers what it was told of, and fails or waits when told to."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[Span] = []
        self.error: Exception | None = None
        self.go = asyncio.Event()
        self.go.set()

    async def add(self, spans: Sequence[Span], servers: Sequence[str]) -> None:
        self.told += spans
        await self.go.wait()
        if self.error:
            raise self.error
        await super().add(spans, servers)


def telling() -> tuple[Batches, Telling]:
    """What is done with batches, and who is told."""
    folded = Telling()
    return replace(batches(), folded=folded), folded


async def until_known(folded: MemoryFoldedSpans, partition: int, end: int) -> None:
    async def so() -> bool:
        found = folded.of.get(partition)
        return found is not None and found.end >= end

    await eventually_async(so, within=30)


class Slow(MemoryProfileStore):
    """A store that writes only when told to."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = asyncio.Event()
        self.go = asyncio.Event()

    async def save(self, writes: Sequence[Write], *, retention: timedelta) -> list[bool]:
        self.asked.set()
        await self.go.wait()
        return await super().save(writes, retention=retention)


async def test_nothing_is_told_of_a_batch_before_its_profiles_are_written() -> None:
    """However long that takes; then it is, of each partition of its own."""
    through, folded = telling()
    store = Slow()
    works = Works(replace(through, store=store))
    works.put(TP0, 0, 1, 2)
    await asyncio.wait_for(store.asked.wait(), 5)
    assert folded.told == []
    store.go.set()
    works.put(TP1, 0)
    await until_known(folded, 0, 3)
    await until_known(folded, 1, 1)
    assert folded.of == {0: Folded(0, 3, HERE), 1: Folded(0, 1, HERE)}
    works.running.cancel()


async def test_what_is_told_does_not_hold_up_batches() -> None:
    """Nor commits: readers are told behind the batches, and nobody waits for that."""
    through, folded = telling()
    folded.go.clear()
    works = Works(through)
    for offset in range(3):
        works.put(TP0, offset)
        await works.until_safe(TP0, offset + 1)
    assert folded.of == {}
    folded.go.set()
    await until_known(folded, 0, 3)
    works.running.cancel()


async def test_offsets_that_kafka_has_no_event_at() -> None:
    """They lie in no batch, such as a transaction's end; the span goes on over them."""
    through, folded = telling()
    works = Works(through)

    async def first_from(_: object, offset: int) -> int:
        return {1: 5}.get(offset, offset)

    works.positions._first_from = first_from
    for offset in (0, 5):
        works.put(TP0, offset)
        await works.until_safe(TP0, offset + 1)
    await until_known(folded, 0, 6)
    assert folded.of[0] == Folded(0, 6, HERE)
    works.running.cancel()


async def test_events_that_are_not_kept() -> None:
    """Refused, or not allowed by their shopper: the worker is past them, and that is told."""
    through, folded = telling()
    assert isinstance(through.store, MemoryProfileStore)
    through.store.consents[b"demo/u:ana"] = write_consent(Consent(personalization=False))
    works = Works(through)
    works.backlog.put(Batch(TP0, 1, [FakeRecord(b"k", b"{"), record(view(1), 1)]))
    await until_known(folded, 0, 2)
    assert folded.of[0] == Folded(0, 2, HERE)
    works.running.cancel()


async def test_dead_letters_that_kafka_does_not_take_yet() -> None:
    """Readers do not wait for them: profiles are what they are already."""
    through, folded = telling()

    class Away(MemoryDeadLetters):
        async def send(self, refused: Sequence[Refused]) -> None:
            raise KafkaUnavailable("away")

    works = Works(replace(through, dead_letters=Away()))
    works.backlog.put(Batch(TP0, 1, [FakeRecord(b"k", b"{"), record(view(1), 1)]))
    await until_known(folded, 0, 2)
    assert works.safe(TP0) == 0
    works.running.cancel()


async def test_redis_goes_just_then() -> None:
    """Nobody is told of that batch, the worker goes on, and of the next one they are."""
    through, folded = telling()
    folded.error = RedisUnavailable("gone")
    works = Works(through)
    works.put(TP0, 0)
    await works.until_safe(TP0, 1)
    assert folded.of == {}
    folded.error = None
    works.put(TP0, 1)
    await until_known(folded, 0, 2)
    assert folded.of[0] == Folded(1, 2, HERE)
    assert not works.worker.failed.done()
    works.running.cancel()


async def test_a_mistake_in_telling_ends_the_worker() -> None:
    """As any other of ours: it does not pass without a word."""
    through, folded = telling()
    folded.error = ValueError("a bug")
    works = Works(through)
    works.put(TP0, 0)

    async def has_failed() -> bool:
        return works.worker.failed.done()

    await eventually_async(has_failed, within=30)
    assert isinstance(works.worker.failed.exception(), ValueError)


async def test_redis_fails_over_in_the_middle_of_a_batch() -> None:
    """What is told names the Redis that the batch was begun with, not the one that is there now."""
    through, folded = telling()
    store, durability = Slow(), MemoryDurability()
    works = Works(replace(through, store=store), durability)
    works.put(TP0, 0)
    await asyncio.wait_for(store.asked.wait(), 5)
    durability.replication_id = "another"
    store.go.set()
    await until_known(folded, 0, 1)
    assert folded.of[0].servers == HERE
    works.running.cancel()
