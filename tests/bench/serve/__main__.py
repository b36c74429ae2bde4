"""How many recommendations a second, how late, for how much: ``make bench-serve``.

Real Kafka, Redis and server, the demo's shoppers, and its catalogue cut or made larger. The
server has one core, the load and all else the other; with two server processes everybody shares
both. Beside the server: a bare gRPC call, and a naive server (:mod:`tests.bench.serve.controls`).
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as the server; before NumPy is imported

import argparse
import asyncio
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final, NamedTuple

import uvloop
from rich.progress import track
from rich.table import Table

from deploy.local.services import EmbeddedService
from deploy.local.supervised import port_for
from services.shared.profile_store import RedisProfileStore
from services.shared.redis_connection import RedisConnection
from services.shared.subject import event_key, subject_of
from tests.bench.report import Row, publish
from tests.bench.serve.controls import ECHOES, Setup
from tests.bench.serve.load import Task
from tests.bench.serve.measuring import (
    LATE_MS,
    OTHERS,
    SERVER_CORE,
    Figures,
    control,
    median,
    memory,
    pin,
    under_load,
    wait_for_line,
)
from tests.bench.serve.place import Place, place, served
from tests.bench.serve.stages import BARE, SHOPPERS, WHOLE_STAGE, stages
from tests.bench.serve.updates import updates
from tests.bench.serve.world import SHOP
from tests.stack import started

UPDATES: Final = 1_000
"""Changes of the catalogue a second."""
STEP: Final = 1.25
"""How much more each try of the ladder asks for."""
BUSY: Final = "16 callers: processor of a call"
LOADING_SECONDS: Final = 600.0
MOST_TWICE: Final = 100_000
"""Two processes with more products would want more memory than a small machine has."""

Load = Callable[[float], Awaitable[Figures]]


class Case(NamedTuple):
    """A catalogue, and what is asked of it."""

    products: int
    gate: int
    aim: int
    """Answers a second of one core with p99 below :data:`LATE_MS`."""
    memory: tuple[float, float]
    """MB: gate and aim; infinite where there is none."""
    naive: bool
    """Whether the naive server is asked, too; it has no product codes."""


CASES: Final = (
    Case(20_000, 800, 1_500, (250, 150), naive=True),
    Case(100_000, 500, 1_000, (float("inf"), float("inf")), naive=True),
    Case(1_000_000, 100, 200, (650, 350), naive=False),
)


class Size(NamedTuple):
    """How much is measured."""

    cases: Sequence[Case]
    runs: int
    seconds: float


WHOLE: Final = Size(CASES, 3, 10.0)
QUICK: Final = Size(CASES[:1], 1, 5.0)


async def measure(case: Case, size: Size, at: Place) -> list[Row]:
    """All rows of one case: one server on one core, then two on both."""
    server = served(at, SHARE_PORT="true")
    with started(server):
        server.wait_ready(within=LOADING_SECONDS)
        pin(server.process.pid, SERVER_CORE)
        made = await _of_server(case, size, at, server)
        if case.products > MOST_TWICE:
            return made
        alone = await _processor(case, size, at, [server])
        second = served(at, name="second", SHARE_PORT="true", PORT=str(server.port))
        with started(second):
            wait_for_line(second.log_path, '"ready"', LOADING_SECONDS)
            both = [server, second]
            for each in both:
                pin(each.process.pid, (*SERVER_CORE, *OTHERS))
            return made + await _of_two(case, size, at, both, alone)


async def _processor(
    case: Case, size: Size, at: Place, servers: Sequence[EmbeddedService]
) -> list[Figures]:
    """Load at the case's gate, every process on any core."""
    for server in servers:
        pin(server.process.pid, (*SERVER_CORE, *OTHERS))
    address, pids = servers[0].address, [server.process.pid for server in servers]
    return [
        await under_load(
            Task(address, at.key, at.world.users, size.seconds, case.gate, seed=seed), pids
        )
        for seed in range(size.runs)
    ]


async def _of_two(
    case: Case,
    size: Size,
    at: Place,
    servers: Sequence[EmbeddedService],
    alone: Sequence[Figures],
) -> list[Row]:
    named = f"{case.products:,} products, two processes"
    runs = await _processor(case, size, at, servers)
    ratios = [two.processor / one.processor for two, one in zip(runs, alone, strict=True)]
    pids = [server.process.pid for server in servers]

    async def load(rate: float) -> Figures:
        task = Task(servers[0].address, at.key, at.world.users, size.seconds, rate)
        return await under_load(task, pids)

    greatest = await _ladder(case, load)
    return [
        _row(f"{named}: processor time of a call, to one's", "times", ratios, (1.10, 1.05)),
        _row(f"{named}: answers with p99 < 10 ms", "/s", [greatest]),
    ]


async def _of_server(case: Case, size: Size, at: Place, server: EmbeddedService) -> list[Row]:
    named = f"{case.products:,} products"
    pids = [server.process.pid]

    async def load(rate: float, callers: int = 1, seed: int = 1) -> Figures:
        task = Task(server.address, at.key, at.world.users, size.seconds, rate, callers, seed)
        return await under_load(task, pids)

    made = [_row(f"{named}: memory", "MB", [memory(pids)], case.memory)]
    alone = [await load(0, 1, seed) for seed in range(size.runs)]
    made += _latencies(f"{named}, one caller", alone)
    many = [await load(0, 16, seed) for seed in range(size.runs)]
    made.append(_row(f"{named}, 16 callers: answers", "/s", [each.rate for each in many]))
    # All of them are answered: a refused call takes less.
    made.append(_row(f"{named}, {BUSY}", "ms", [each.processor for each in many]))
    for rate in (case.gate, case.aim):
        runs = [await load(rate, 1, seed) for seed in range(size.runs)]
        made += _latencies(f"{named}, {rate:,}/s", runs)
        made.append(_row(f"{named}, {rate:,}/s: without answer", "", [r.failed for r in runs]))
    greatest = await _ladder(case, load)
    made.append(_row(f"{named}: answers with p99 < 10 ms", "/s", [greatest], (case.gate, case.aim)))
    most = median([each.rate for each in many])
    beyond = [await load(1.5 * most, 1, seed) for seed in range(size.runs)]
    kept = [each.rate / most for each in beyond]
    made.append(_row(f"{named}, at 150 %: answers, to those of 16 callers", "", kept))
    made += _latencies(f"{named}, at 150 %", beyond)
    async with updates(at.kafka, at.world.products, UPDATES):
        changing = [await load(case.gate, 1, seed) for seed in range(size.runs)]
    made += _latencies(f"{named}, {case.gate:,}/s and {UPDATES:,} updates/s", changing)
    return made


async def _ladder(case: Case, load: Load) -> float:
    """The greatest rate of a ladder that was answered in time; 0 where not even half the gate."""
    best, rate = 0.0, case.gate / 2
    while True:
        found = await load(rate)
        if found.p99 >= LATE_MS or found.failed > 0:
            return best
        best, rate = rate, rate * STEP


async def controls(case: Case, size: Size, at: Place) -> list[Row]:
    """The bare call by three kinds of servers, and the naive server."""
    made: list[Row] = []
    kinds = [*ECHOES, *(["naive"] if case.naive else [])]
    for kind in kinds:
        setup = Setup(port_for(kind, None), at.redis, str(at.world.bundle))
        with control(kind, setup, at.folder / f"{kind}.log") as running:
            pid = running.process.pid
            pin(pid, SERVER_CORE)
            rate = case.gate / 4 if kind == "naive" else case.gate
            runs = [
                await under_load(
                    Task(
                        f"127.0.0.1:{setup.port}",
                        at.key,
                        at.world.users,
                        size.seconds,
                        rate,
                        seed=seed,
                    ),
                    [pid],
                )
                for seed in range(size.runs)
            ]
        named = f"{case.products:,} products, {kind} at {rate:,.0f}/s"
        made += _latencies(named, runs)
        made.append(_row(f"{named}: processor", "ms", [each.processor for each in runs]))
    return made


async def by_stage(case: Case, at: Place) -> list[Row]:
    """Processor time of each stage."""
    redis = RedisConnection(at.redis)
    names = [event_key(SHOP, subject_of(user, "")) for user in at.world.users[:SHOPPERS]]
    values = [stored.value for stored in await RedisProfileStore(redis).load(names)]
    await redis.close()
    found = await asyncio.to_thread(stages, at.world, values)
    limits = {WHOLE_STAGE: (5.0, 3.0)} if case.products >= 1_000_000 else {}
    return [
        _row(f"{case.products:,} products, stage: {name}", "ms", [value], limits.get(name))
        for name, value in found.items()
    ]


def beyond_the_graph(case: Case, rows: Sequence[Row]) -> Row:
    """What a call takes besides the model itself."""
    value_of = {row.measure: row.value for row in rows}
    named = f"{case.products:,} products"
    whole = value_of[f"{named}, {BUSY}"]
    graph = value_of[f"{named}, stage: {BARE}"]
    limits = (0.8, 0.45) if case.products == CASES[0].products else None
    return _row(f"{named}: processor beyond the bare graph", "ms", [whole - graph], limits)


def _latencies(name: str, runs: Sequence[Figures]) -> list[Row]:
    return [
        _row(f"{name}: {which}", "ms", [getattr(run, which) for run in runs])
        for which in ("p50", "p99", "p999")
    ]


def _row(
    measure: str, unit: str, values: Sequence[float], limits: tuple[float, float] | None = None
) -> Row:
    told = [limit if limit < float("inf") else None for limit in limits or ()]
    return Row(measure, median(values), unit, (min(values), max(values)), *told)


async def run(size: Size) -> list[Row]:
    """All cases, one after the other."""
    made: list[Row] = []
    for case in track(size.cases, "catalogues"):
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            async with place(case.products, folder) as at:
                made += await measure(case, size, at)
                made += await controls(case, size, at)
                made += await by_stage(case, at)
                made.append(beyond_the_graph(case, made))
    return made


def main() -> None:
    """Measure, and publish."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.serve", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="20,000 products, one short run")
    told = parser.parse_args()
    publish("serve", uvloop.run(run(QUICK if told.quick else WHOLE)), Table())


if __name__ == "__main__":
    main()
