"""One run: a contender, a topic that is full already, an empty Redis; what it took.

Time and processor time count from when a tenth is folded, so that starting, joining the group
and the first fetch are left out. Progress is seen where all contenders leave it alike: in the
offsets up to which Redis has trends counted. The time ends when all is folded, the processor
time when all is committed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, NamedTuple

from deploy.local.supervised import Supervised
from tests.bench.stream.contenders import Contender
from tests.bench.stream.servers import Servers, connection, counted, pinned, processor_seconds

WARM_SHARE: Final = 0.1
LOOK_SECONDS: Final = 0.01
COMMIT_LOOK_SECONDS: Final = 0.1
RUN_SECONDS: Final = 180.0


class Figures(NamedTuple):
    """What one run took."""

    events_per_second: float
    worker_micros: float
    """Processor time for each event, of all workers."""
    kafka_micros: float
    redis_micros: float
    worker_bytes: int
    """The most memory that a worker had."""
    redis_bytes: float
    """Of Redis' data, for each event."""


class Topic(NamedTuple):
    """A topic that holds ``events`` events, named by its prefix."""

    prefix: str
    events: int

    @property
    def name(self) -> str:
        """With the prefix."""
        return self.prefix + "shopper-events"


class Mark(NamedTuple):
    """How far it was at a moment, and what had been used up to then."""

    at: float
    events: int
    workers: float
    servers: tuple[float, float]


class Run:
    """One run of workers of one group."""

    def __init__(self, servers: Servers, topic: Topic, group: str, core: int, folder: Path) -> None:
        self._servers = servers
        self._topic = topic
        self._group = group
        self._core = core
        self._folder = folder
        self._workers: list[Supervised] = []

    async def of(self, contender: Contender, *, append_only: bool) -> Figures:
        """Have the contender fold the topic, which is full."""
        await self._servers.empty(append_only=append_only)
        before = await self._servers.memory()
        try:
            self.start(contender)
            return await self.watch(before.dataset)
        finally:
            self.stop()

    def start(self, contender: Contender) -> Path:
        """Start a worker on the core that is theirs; answers where its log is."""
        log = self._folder / f"{self._group}-{len(self._workers)}.log"
        told = {
            **self._servers.settings,
            "TOPIC_PREFIX": self._topic.prefix,
            "GROUP": self._group,
        }
        worker = contender.process(told, log)
        with pinned({self._core}):
            worker.start()
        self._workers.append(worker)
        return log

    def stop(self) -> None:
        """End the workers."""
        for worker in self._workers:
            worker.stop()
        self._workers.clear()

    async def watch(self, dataset_before: int) -> Figures:
        """Wait until all is folded, and then committed; what that took."""
        async with asyncio.timeout(RUN_SECONDS), connection(self._servers.redis.url) as redis:

            async def folded(least: float) -> int:
                now = await counted(redis)
                return now if now >= least else 0

            async def committed() -> int:
                done = await self._servers.committed(self._group, self._topic.name)
                return done if done >= self._topic.events else 0

            events = self._topic.events
            begun = await self._when(lambda: folded(events * WARM_SHARE), LOOK_SECONDS)
            ended = await self._when(lambda: folded(events), LOOK_SECONDS)
            kept = await self._when(committed, COMMIT_LOOK_SECONDS)
        peak = max(_peak(worker.process.pid) for worker in self._workers)
        grown = (await self._servers.memory()).dataset - dataset_before
        return _figures(begun, ended, kept, peak, grown / events)

    async def _when(self, events: Callable[[], Awaitable[int]], pause: float) -> Mark:
        while not (done := await events()):
            for worker in self._workers:
                if not worker.is_running:
                    raise RuntimeError(f"{worker.name} has ended: see {worker.log}")
            await asyncio.sleep(pause)
        workers = sum(processor_seconds(worker.process.pid) for worker in self._workers)
        return Mark(time.perf_counter(), done, workers, self._servers.processor_seconds())


def _figures(begun: Mark, ended: Mark, kept: Mark, peak: int, redis_bytes: float) -> Figures:
    events = ended.events - begun.events
    return Figures(
        events / (ended.at - begun.at),
        (kept.workers - begun.workers) / events * 1e6,
        (kept.servers[0] - begun.servers[0]) / events * 1e6,
        (kept.servers[1] - begun.servers[1]) / events * 1e6,
        peak,
        redis_bytes,
    )


def _peak(pid: int) -> int:
    """The most memory that a process has had, in bytes."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    (kilobytes,) = (line.split()[1] for line in lines if line.startswith("VmHWM:"))
    return int(kilobytes) * 1024
