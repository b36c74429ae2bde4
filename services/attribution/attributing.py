"""Takes records of both topics, partition by partition, and has each count once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import structlog

from services.attribution.batches import Batches
from services.attribution.domain.alignment import Reach, reached, waits
from services.attribution.domain.fence import Fence, Place, read_fence
from services.attribution.metrics import BATCH_SECONDS, LAG
from services.attribution.reading import Reader
from services.shared.health import Health
from services.shared.kafka import describe_topics
from services.shared.kafka_partitions import TP, Partitions
from services.shared.trying import insist

RECORDS: Final = 1_000
"""At once: what they change is one script in Redis, which does nothing else meanwhile."""

CLOSE_SECONDS: Final = 1.0
"""So often it is looked whether a window closes, or a letter has come, where no record has."""

COMMIT_SECONDS: Final = 5.0
TOPICS_SECONDS: Final = 10.0
"""How soon a topic is noticed that was made anew and has as many records as the old one had."""

_log = structlog.get_logger()


class Topics(NamedTuple):
    """The two topics, by name."""

    log: str
    events: str


@dataclass
class Side:
    """One topic of a partition that is ours."""

    tp: TP
    next: int
    at: int = 0
    doubted: int = -1
    """The offset of a record before which some seemed to be missing."""

    @property
    def start(self) -> tuple[TP, int]:
        """Where it is read on."""
        return self.tp, self.next


@dataclass
class Held:
    """A partition that is ours."""

    fence: Fence
    log: Side
    events: Side
    looked_at: float
    """In seconds of a steady clock."""


class Attributing:
    """The work of one process."""

    def __init__(
        self,
        partitions: Partitions,
        reader: Reader,
        batches: Batches,
        claim: Callable[[int], Any],
        *,
        servers: str,
        topics: Topics,
        topic_ids: dict[str, str],
        health: Health,
    ) -> None:
        """``claim`` answers a partition's fence as text; ``topic_ids`` are by topic."""
        self._partitions = partitions
        self._reader = reader
        self._batches = batches
        self._claim_fence = claim
        self._servers = servers
        self._topics = topics
        self._topic_ids = topic_ids
        self._health = health
        self._held: dict[int, Held] = {}
        self._failing = False
        self._committed_at = self._topics_seen_at = time.monotonic()
        self._went_back = False
        """Whether a record came whose offset was passed: its topic may be another one."""

    @property
    def numbers(self) -> frozenset[int]:
        """The partitions that are ours now."""
        return frozenset(self._held)

    async def run(self, ending: asyncio.Event) -> None:
        """Work until told to end. Raises Unavailable only then."""
        while not ending.is_set():
            await self._take_over(ending)
            found = await self._partitions.take(self._wanted(), records=RECORDS)
            for number, held in list(self._held.items()):
                log, events = (
                    self._fresh(side, found.get(side.tp, [])) for side in (held.log, held.events)
                )
                is_time = time.monotonic() - held.looked_at >= CLOSE_SECONDS
                if (log or events or is_time) and not ending.is_set():
                    await self._count(number, held, log, events, ending)
            await self._commit()
            self._tell()
            if self._went_back or time.monotonic() - self._topics_seen_at >= TOPICS_SECONDS:
                await self._look_at_topics(ending)

    async def _take_over(self, ending: asyncio.Event) -> None:
        """Let go of partitions that were taken from us, claim those that we were given."""
        gone, fresh = self._partitions.moved()
        for tp in gone | fresh:
            self._held.pop(tp.partition, None)
        ours = self._partitions.held()
        given = sorted({tp.partition for tp in fresh})
        both = [n for n in given if {TP(topic, n) for topic in self._topics} <= ours]
        if both and not ending.is_set():
            await self._insist(lambda: self._claim(both), "claim", ending)

    async def _claim(self, numbers: Sequence[int]) -> None:
        """Read partitions from where their fences stand. Raises Unavailable."""
        tps = [TP(topic, number) for number in numbers for topic in self._topics]
        earliest = await self._partitions.earliest(tps)
        for number in numbers:
            fence = read_fence(await self._claim_fence(number))
            log = self._side(TP(self._topics.log, number), fence.log, earliest)
            events = self._side(TP(self._topics.events, number), fence.events, earliest)
            if self._partitions.seek(*log.start) and self._partitions.seek(*events.start):
                self._held[number] = Held(fence, log, events, time.monotonic())
                _log.info("claimed", partition=number, log=log.next, events=events.next)

    def _side(self, tp: TP, place: Place, earliest: Mapping[TP, int]) -> Side:
        """Where a topic's partition is read on."""
        start = place.offset if place.topic_id == self._topic_ids[tp.topic] else 0
        if 0 < start < earliest[tp]:
            _log.error("records_gone", topic=tp.topic, partition=tp.partition, first=start)
        return Side(tp, max(start, earliest[tp]))

    def _wanted(self) -> Sequence[TP]:
        """Of each partition both topics, but none that is far ahead of the other."""
        wanted = []
        for held in self._held.values():
            log, events = self._reach(held.log), self._reach(held.events)
            wanted += [held.log.tp] * (not waits(log, events))
            wanted += [held.events.tp] * (not waits(events, log))
        return wanted

    def _fresh(self, side: Side, records: list[Any]) -> list[Any]:
        """The records that follow on what was read; none where some before them are missing.

        Kafka may have nothing there (dropped by its age): asked once more, it says so.
        """
        fresh = [record for record in records if record.offset >= side.next]
        self._went_back = self._went_back or len(fresh) < len(records)
        if fresh and fresh[0].offset > side.next and fresh[0].offset != side.doubted:
            side.doubted = fresh[0].offset
            self._partitions.seek(side.tp, side.next)
            return []
        return fresh

    async def _count(
        self,
        number: int,
        held: Held,
        log: Sequence[Any],
        events: Sequence[Any],
        ending: asyncio.Event,
    ) -> None:
        for side, some in ((held.log, log), (held.events, events)):
            if some:
                side.next, side.at = some[-1].offset + 1, some[-1].timestamp
        clock = time.time_ns() // 1_000_000
        now = 1_000 * reached(self._reach(held.log), self._reach(held.events), clock)
        after = self._fence(held)

        async def count() -> Fence | None:
            if not (log or events or await self._batches.has_work(number, now)):
                return held.fence
            said = await self._reader.read(log, events)
            before = held.fence
            done = await self._batches.count(number, said, before=before, after=after, now=now)
            return after if done else None

        with BATCH_SECONDS.time() if log or events else nullcontext():
            fence = await self._insist(count, "count a batch", ending)
        held.looked_at = time.monotonic()
        if fence is None:
            _log.warning("fence_moved", partition=number, meaning="read again from where it is")
            del self._held[number]
            self._partitions.again([held.log.tp, held.events.tp])
        else:
            held.fence = fence

    async def _commit(self) -> None:
        """Tell Kafka now and then, for those who watch the lag."""
        if time.monotonic() - self._committed_at >= COMMIT_SECONDS:
            self._committed_at = time.monotonic()
            sides = [side for held in self._held.values() for side in (held.log, held.events)]
            await self._partitions.commit({side.tp: side.next for side in sides})

    def _fence(self, held: Held) -> Fence:
        places = [
            Place(self._topic_ids[side.tp.topic], side.next) for side in (held.log, held.events)
        ]
        return Fence(held.fence.number + 1, *places)

    def _reach(self, side: Side) -> Reach:
        lag = self._partitions.lag(side.tp, side.next)
        if lag is not None:
            LAG.labels(*side.tp).set(lag)
        return Reach(side.at, lag is None or lag > 0)

    async def _look_at_topics(self, ending: asyncio.Event) -> None:
        """Read a topic from its beginning that has been made anew."""
        self._went_back, self._topics_seen_at = False, time.monotonic()
        found = await self._insist(
            lambda: describe_topics(self._servers, self._topics), "look at the topics", ending
        )
        for topic, described in found.items():
            if described.topic_id != self._topic_ids[topic]:
                _log.warning("topic_made_anew", topic=topic, meaning="all of it is read")
                self._topic_ids[topic] = described.topic_id
                self._partitions.again([TP(topic, number) for number in self._held])

    async def _insist(self, attempt: Callable[[], Any], doing: str, ending: asyncio.Event) -> Any:
        """See :func:`insist`; meanwhile we are not ready."""
        return await insist(attempt, doing=doing, giving_up=ending.is_set, failing=self._fails)

    def _fails(self, so: bool) -> None:
        self._failing = so
        self._tell()

    def _tell(self) -> None:
        """Ready means: given partitions, be it none, and getting on."""
        is_ready = self._partitions.is_assigned and not self._failing
        if is_ready and not self._health.is_ready:
            _log.info("ready")
            self._health.ready()
        elif not is_ready and self._health.is_ready:
            _log.warning("not_ready", waiting_for=["Redis or Kafka"])
            self._health.not_ready()
