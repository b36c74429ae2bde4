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
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

import uvloop
from rich.progress import track

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
from tests.bench.serve.rows import drawn, histogram, latencies, row
from tests.bench.serve.stages import BARE, SHOPPERS, WHOLE_CALL, WHOLE_STAGE, stages
from tests.bench.serve.updates import updates
from tests.bench.serve.world import SHOP
from tests.stack import started

UPDATES: Final = 1_000
"""Changes of the catalogue a second."""
STEP: Final = 1.25
"""How much more each try of the ladder asks for."""
CALLERS: Final = 16
"""Who wait for their answers: they keep a server busy and are never refused."""
BUSY: Final = f"{CALLERS} callers: processor of a call"
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


WHOLE: Final = Size(CASES, 3, 4.0)
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
        alone = await _processor(size, at, [server])
        second = served(at, name="second", SHARE_PORT="true", PORT=str(server.port))
        with started(second):
            wait_for_line(second.log_path, '"ready"', LOADING_SECONDS)
            both = [server, second]
            for each in both:
                pin(each.process.pid, (*SERVER_CORE, *OTHERS))
            return made + await _of_two(case, size, at, both, alone)


async def _processor(size: Size, at: Place, servers: Sequence[EmbeddedService]) -> list[Figures]:
    """Callers who wait, so that every call is answered; every process on any core."""
    for server in servers:
        pin(server.process.pid, (*SERVER_CORE, *OTHERS))
    address, pids = servers[0].address, [server.process.pid for server in servers]
    return [
        await under_load(
            Task(address, at.key, at.world.users, size.seconds, 0, CALLERS, seed), pids
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
    runs = await _processor(size, at, servers)
    ratios = [two.processor / one.processor for two, one in zip(runs, alone, strict=True)]
    pids = [server.process.pid for server in servers]

    async def load(rate: float) -> Figures:
        task = Task(servers[0].address, at.key, at.world.users, size.seconds, rate)
        return await under_load(task, pids)

    answers = [each.rate for each in runs]
    greatest = await _ladder(median(answers), load)
    return [
        row(f"{named}: processor time of a call, to one's", "times", ratios, (1.10, 1.05)),
        row(f"{named}, {CALLERS} callers: answers", "/s", answers),
        row(f"{named}: answers with p99 < 10 ms", "/s", [greatest]),
    ]


async def _of_server(case: Case, size: Size, at: Place, server: EmbeddedService) -> list[Row]:
    named = f"{case.products:,} products"
    pids = [server.process.pid]

    async def load(rate: float, callers: int = 1, seed: int = 1) -> Figures:
        task = Task(server.address, at.key, at.world.users, size.seconds, rate, callers, seed)
        return await under_load(task, pids)

    made = [row(f"{named}: memory", "MB", [memory(pids)], case.memory)]
    alone = [await load(0, 1, seed) for seed in range(size.runs)]
    made += latencies(f"{named}, one caller", alone)
    many = [await load(0, CALLERS, seed) for seed in range(size.runs)]
    most = median([each.rate for each in many])
    made.append(row(f"{named}, {CALLERS} callers: answers", "/s", [each.rate for each in many]))
    # All of them are answered: a refused call takes less.
    made.append(row(f"{named}, {BUSY}", "ms", [each.processor for each in many]))
    by_model = [each.personal for each in (*alone, *many)]
    made.append(row(f"{named}: answers by the model, of all", "", by_model, (0.99, 1.0)))
    for rate in (case.gate, case.aim):
        runs = [await load(rate, 1, seed) for seed in range(size.runs)]
        made += latencies(f"{named}, {rate:,}/s", runs)
        made.append(row(f"{named}, {rate:,}/s: without answer", "", [r.failed for r in runs]))
    greatest = [await _ladder(most, partial(load, seed=seed)) for seed in range(size.runs)]
    made.append(row(f"{named}: answers with p99 < 10 ms", "/s", greatest, (case.gate, case.aim)))
    beyond = [await load(1.5 * most, 1, seed) for seed in range(size.runs)]
    kept = [each.rate / most for each in beyond]
    made.append(
        row(f"{named}, at 150 %: answers, to those of {CALLERS} callers", "", kept, (0.7, 0.9))
    )
    made += latencies(f"{named}, at 150 %", beyond)
    calm = [await load(most / 2, 1, seed) for seed in range(size.runs)]
    async with updates(at.kafka, at.world.products, UPDATES) as changes:
        changing = [await load(most / 2, 1, seed) for seed in range(size.runs)]
    made += latencies(f"{named}, at 50 %", calm)
    made += latencies(f"{named}, at 50 % and {UPDATES:,} updates/s", changing)
    disturbed = [one.p99 / other.p99 for one, other in zip(changing, calm, strict=True)]
    made.append(row(f"{named}: p99 with updates, to that without", "times", disturbed))
    made.append(row(f"{named}: updates sent", "/s", [changes.rate]))
    made.append(row(f"{named}: calls sent late, 99 % within", "ms", [each.late for each in calm]))
    return made + histogram(f"{named}, at 50 %", calm)


async def _ladder(most: float, load: Load) -> float:
    """The greatest rate of a ladder that was answered in time; 0 where not even a fourth of most.

    ``most`` is what callers get who wait.
    """
    best, rate = 0.0, most / 4
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
        made += latencies(named, runs)
        made.append(row(f"{named}: processor", "ms", [each.processor for each in runs]))
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
        row(f"{case.products:,} products, stage: {name}", "ms", [value], limits.get(name))
        for name, value in found.items()
    ]


def beyond_the_graph(case: Case, rows: Sequence[Row]) -> list[Row]:
    """What a call takes besides the model itself."""
    value_of = {row.measure: row.value for row in rows}
    named = f"{case.products:,} products"
    whole = value_of[f"{named}, {BUSY}"]
    graph = value_of[f"{named}, stage: {BARE}"]
    limits = (0.8, 0.45) if case.products == CASES[0].products else None
    inside = value_of[f"{named}, stage: {WHOLE_CALL}"]
    return [
        row(f"{named}: processor beyond the bare graph", "ms", [whole - graph], limits),
        row(f"{named}: gRPC, Redis, and caches that others used", "ms", [whole - inside]),
    ]


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
                made += beyond_the_graph(case, made)
    return made


def main() -> None:
    """Measure, and publish."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.serve", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="20,000 products, one short run")
    every = [case.products for case in CASES]
    parser.add_argument("--products", type=int, choices=every, help="only this catalogue")
    told = parser.parse_args()
    size = QUICK if told.quick else WHOLE
    if told.products:
        size = size._replace(cases=[case for case in CASES if case.products == told.products])
    pin(os.getpid(), OTHERS)
    made = uvloop.run(run(size))
    publish("serve", made, drawn(made))


if __name__ == "__main__":
    main()
