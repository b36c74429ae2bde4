"""How soon an event is in its shopper's profile, and in answers: ``make bench-freshness``.

Kafka, Redis, the worker, the recommendations server, the load and the control share the
machine. The *control* is a plain consumer of the same topic in a process of its own: what it
sees late was late before any of it was ours. Beside the steady rates: the first event of a new
producer after a while without events, which is slow where something is only asked for once it
comes. A profile or an answer *after the control* is what is ours of an event's way.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import uvloop
from rich.progress import track

from deploy.local.kafka import EmbeddedKafka
from deploy.local.redis import EmbeddedRedis
from deploy.local.topics import create_topics
from services.shared.redis_connection import RedisConnection
from tests.bench.freshness.control import control
from tests.bench.freshness.load import TOPIC, Load, Newcomer, Steady
from tests.bench.freshness.shop import shop
from tests.bench.report import Row, publish
from tests.stack import run_worker

RATES: Final = (500, 5_000)
WARM_RATE: Final = 1_000
GATE_MS: Final = 50.0
AIM_MS: Final = 15.0
STALL_MS: Final = 100.0


class Size(NamedTuple):
    """How much is sent."""

    runs: int
    seconds: int
    newcomers: int
    """In each run."""
    warm_seconds: int
    """Events before anything is measured: a broker that has just started compiles its code."""


WHOLE: Final = Size(5, 20, 20, 40)
QUICK: Final = Size(1, 5, 10, 15)


class Run(NamedTuple):
    """Of one stack: its first event, the newcomers', and those at each rate."""

    newcomers: Sequence[Newcomer]
    steady: dict[int, Steady]


async def run(size: Size) -> Run:
    """One run on servers of its own."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        kafka, redis = EmbeddedKafka(folder / "kafka"), EmbeddedRedis(folder / "redis")
        try:
            kafka.start()
            redis.start()
            await create_topics(kafka.servers)
            return await _measure(kafka.servers, redis.url, size, folder)
        finally:
            kafka.kill()
            redis.kill()


async def _measure(servers: str, redis_url: str, size: Size, folder: Path) -> Run:
    told = {"KAFKA_SERVERS": servers, "REDIS_URL": redis_url}
    redis = RedisConnection(redis_url)
    try:
        async with control(servers, TOPIC) as seen, shop(told, folder) as asked:
            with run_worker(told, folder / "worker.log"):
                load = Load(servers, redis, seen, asked)
                await load.at(WARM_RATE, size.warm_seconds)
                newcomers = [await load.newcomer(number) for number in range(size.newcomers)]
                return Run(newcomers, {rate: await load.at(rate, size.seconds) for rate in RATES})
    finally:
        await redis.close()


def rows(runs: Sequence[Run]) -> list[Row]:
    """The median over the runs of each figure."""
    made: list[Row] = []
    for what in Newcomer._fields:
        each = [[getattr(one, what) for one in run.newcomers] for run in runs]
        made += _of(f"a new producer's first event, {what}", each, (50, 100))
    stalls = [
        [one for one in run.newcomers if max(one.control, one.profile) > STALL_MS] for run in runs
    ]
    ours = [sum(one.profile - one.control > STALL_MS for one in some) for some in stalls]
    of = f"of {len(runs[0].newcomers)}"
    made.append(_row("such events later than 100 ms", of, [len(some) for some in stalls]))
    made.append(_row("such events 100 ms after the control, too", of, ours))
    for rate in RATES:
        for what in Steady._fields:
            each = [getattr(run.steady[rate], what) for run in runs]
            limits = (GATE_MS, AIM_MS) if what == "answer" else None
            made += _of(f"{rate:,}/s, {what}", each, (50, 99, 100), limits)
    return made


def _of(
    name: str,
    runs: Sequence[Sequence[float]],
    percentiles: Sequence[int],
    limits: tuple[float, float] | None = None,
) -> list[Row]:
    """A row for each percentile; ``limits`` are for the 99th."""
    return [
        _row(
            f"{name}, {'slowest' if each == 100 else f'p{each}'}",
            "ms",
            [float(np.percentile(run, each)) for run in runs],
            limits if each == 99 else None,
        )
        for each in percentiles
    ]


def _row(
    measure: str, unit: str, values: Sequence[float], limits: tuple[float, float] | None = None
) -> Row:
    spread = (min(values), max(values))
    return Row(measure, statistics.median(values), unit, spread, *(limits or ()))


def main() -> None:
    """Measure, and publish."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.freshness", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short run, coarser")
    size = QUICK if parser.parse_args().quick else WHOLE
    publish("freshness", rows([_run(size) for _ in track(range(size.runs))]))


def _run(size: Size) -> Run:
    """The load has a fast loop, as it shares the machine with what it measures."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(run(size))


if __name__ == "__main__":
    main()
