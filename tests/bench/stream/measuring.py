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
    worked_share: float
    """Of the time, that the workers were on their core."""
    waited_share: float
    """Of the time, that they could have worked and others had their core."""


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
    waited: float
    servers: tuple[float, float]


class Watched(NamedTuple):
    """What was seen of a run: when it was warm, when all was folded, and when committed."""

    begun: Mark
    ended: Mark
    kept: Mark
    peak_bytes: int
    redis_bytes: int

    def figures(self) -> Figures:
        """What the run took."""
        begun, ended, kept = self.begun, self.ended, self.kept
        events, seconds = ended.events - begun.events, ended.at - begun.at
        return Figures(
            events / seconds,
            (kept.workers - begun.workers) / events * 1e6,
            (kept.servers[0] - begun.servers[0]) / events * 1e6,
            (kept.servers[1] - begun.servers[1]) / events * 1e6,
            self.peak_bytes,
            self.redis_bytes / ended.events,
            (ended.workers - begun.workers) / seconds,
            (ended.waited - begun.waited) / seconds,
        )


class Run:
    """One run of workers of one group."""

    def __init__(self, servers: Servers, topic: Topic, group: str, core: int, folder: Path) -> None:
        self._servers = servers
        self._topic = topic
        self._group = group
        self._core = core
        self._folder = folder
        self._workers: list[Supervised] = []

    async def of(self, contender: Contender, *, append_only: bool) -> Watched:
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

    async def watch(self, dataset_before: int) -> Watched:
        """Wait until all is folded, and then committed."""
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
        return Watched(begun, ended, kept, peak, grown)

    async def _when(self, events: Callable[[], Awaitable[int]], pause: float) -> Mark:
        while not (done := await events()):
            for worker in self._workers:
                if not worker.is_running:
                    raise RuntimeError(f"{worker.name} has ended: see {worker.log}")
            await asyncio.sleep(pause)
        pids = [worker.process.pid for worker in self._workers]
        workers, waited = sum(map(processor_seconds, pids)), sum(map(_waited_seconds, pids))
        servers = self._servers.processor_seconds()
        return Mark(time.perf_counter(), done, workers, waited, servers)


def _waited_seconds(pid: int) -> float:
    """How long its threads were ready to run and did not: Linux' ``schedstat``."""
    tasks = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(task.read_text().split()[1]) for task in tasks) / 1e9


def _peak(pid: int) -> int:
    """The most memory that a process has had, in bytes."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    (kilobytes,) = (line.split()[1] for line in lines if line.startswith("VmHWM:"))
    return int(kilobytes) * 1024
