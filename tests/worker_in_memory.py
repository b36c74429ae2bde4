"""A worker that runs on fakes, with all its parts at hand."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta

from faust.types import TP

from services.profiles.adapters.backlog import Backlog, Batch
from services.profiles.adapters.dead_letters import MemoryDeadLetters
from services.profiles.adapters.durability import MemoryDurability
from services.profiles.adapters.folded import MemoryFoldedSpans
from services.profiles.adapters.trends import MemoryTrends, Place, TrendWrite
from services.profiles.batches import Batches
from services.profiles.domain.commit import Start
from services.profiles.domain.refusals import RefusalLimit
from services.profiles.folding import Folding
from services.profiles.positions import Positions
from services.profiles.readiness import Readiness
from services.profiles.worker import Worker
from services.shared.event_age import AgeRule
from services.shared.health import Health
from services.shared.profile_store import MemoryProfileStore
from tests.profile_events import record, view
from tests.waiting import eventually_async

TOPIC = "shopper-events"
TP0, TP1 = TP(TOPIC, 0), TP(TOPIC, 1)


def batches() -> Batches:
    return Batches(
        topic=TOPIC,
        topic_id="id",
        store=MemoryProfileStore(),
        trends=MemoryTrends(),
        folded=MemoryFoldedSpans(),
        dead_letters=MemoryDeadLetters(),
        age=AgeRule(timedelta(days=7)),
        folding=Folding(timedelta(days=90)),
    )


class RacedTrends(MemoryTrends):
    """Trends of which another worker moves one fence, to 2, just before our first count."""

    def __init__(self, place: Place) -> None:
        super().__init__()
        self._theirs = [TrendWrite(place, 0, 2, {(0, "theirs"): 1})]

    async def count(self, writes: Sequence[TrendWrite]) -> list[bool]:
        while self._theirs:
            await super().count([self._theirs.pop()])
        return await super().count(writes)


class Works:
    """A worker that runs, with all its parts at hand."""

    def __init__(self, batches: Batches, durability: MemoryDurability | None = None) -> None:
        self.positions = Positions(self._start_of, self._first_from)
        self.backlog = Backlog()
        self.health = Health()
        self.readiness = Readiness(self.health)
        self.read_again: list[tuple[TP, int]] = []
        self.may_read_again = asyncio.Event()
        self.may_read_again.set()
        self.looks, self.is_made_anew = 0, False
        self.redis_seen = "memory"
        self.batches = {TOPIC: batches}
        self.worker = Worker(
            self.batches,
            self.positions,
            self.backlog,
            durability or MemoryDurability(),
            limit=RefusalLimit(0.9),
            readiness=self.readiness,
            read_again=self._read_again,
            look_at_topics=self._look_at_topics,
            redis_seen=lambda: self.redis_seen,
        )
        self.running = asyncio.create_task(self.worker.run())

    async def _look_at_topics(self) -> None:
        self.looks += 1
        if self.is_made_anew:
            await self.worker.rewind({TP0: 0})

    async def _start_of(self, tp: TP) -> Start:
        return Start(0, 0)

    async def _first_from(self, tp: TP, offset: int) -> int:
        return offset

    async def _read_again(self, tp: TP, offset: int) -> None:
        await self.may_read_again.wait()
        self.read_again.append((tp, offset))

    def put(self, tp: TP, *offsets: int) -> None:
        self.backlog.put(Batch(tp, 1, [record(view(f"{tp}{at}"), at) for at in offsets]))

    def safe(self, tp: TP) -> int:
        position = self.positions.of(tp)
        return 0 if position is None else position.safe

    async def until_safe(self, tp: TP, offset: int) -> None:
        async def so() -> bool:
            return self.safe(tp) >= offset

        await eventually_async(so, within=30)
