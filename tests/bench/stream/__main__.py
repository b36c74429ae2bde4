"""Measure the worker beside its peers: ``make bench-stream``.

The same events, the same fold into Redis, the same second between two commits; the worker has
one core, Kafka and Redis the others. Runs of the contenders alternate. What does not fit into
a table: a *skewed* topic has one partition that holds a busy shopper and ends later than the
others; *not durable* is a Redis without an append-only file, as the worker has no setting that
would make it commit what may be lost; *worked* is the share of the time that the worker was on
its core, and *kept off* that others had it, which on a quiet machine is nothing. With
``--quick``: the two main legs, once, fewer events.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from rich.progress import Progress
from rich.table import Table

from tests.bench.report import Row, publish
from tests.bench.stream import tables
from tests.bench.stream.figure import drawn
from tests.bench.stream.kept import bytes_a_profile
from tests.bench.stream.legs import MAIN, QUICK, SEED, SIDE, WHOLE, Bench, Leg, Size
from tests.bench.stream.load import all_different, events, json_record
from tests.bench.stream.measuring import Figures
from tests.bench.stream.servers import pinned, servers
from tests.bench.stream.sharing import shared_by
from tests.bench.stream.tables import Runs


async def run_leg(bench: Bench, leg: Leg, size: Size, runs: int, progress: Progress) -> Runs:
    """All runs of a leg, the contenders in turn."""
    task = progress.add_task(leg.name, total=runs * len(leg.contenders))
    figures: defaultdict[str, list[Figures]] = defaultdict(list)
    for _ in range(runs):
        for contender in leg.contenders:
            count = size.events_for(contender)
            figures[contender.name].append(await bench.run(leg, contender, count))
            progress.advance(task)
    return figures


async def run_sharing(bench: Bench, size: Size, progress: Progress) -> list[Row]:
    """One worker and two, in turn."""
    task = progress.add_task("one worker and two", total=2 * size.paired_runs)
    random = np.random.default_rng(SEED)
    shoppers = all_different(size.events, random)
    records = [
        json_record(event) for event in events(shoppers, random=random, until=datetime.now(UTC))
    ]
    figures: dict[int, list[Figures]] = {1: [], 2: []}
    for _ in range(size.paired_runs):
        for workers, taken in figures.items():
            taken.append(await shared_by(bench, workers, records))
            progress.advance(task)
    return tables.rows_of_sharing(figures[1], figures[2])


async def run_all(bench: Bench, size: Size, progress: Progress) -> tuple[list[Row], Table]:
    """Everything of a size: the rows, and a figure."""
    rows: list[Row] = []
    legs: dict[str, Runs] = {}
    for leg in (*MAIN, *SIDE):
        runs = size.main_runs if leg in MAIN else size.side_runs
        if runs:
            legs[leg.name] = await run_leg(bench, leg, size, runs, progress)
            rows += tables.rows_of(leg, legs[leg.name])
    rows += await run_sharing(bench, size, progress)
    rows.append(tables.row_of_profiles(await bytes_a_profile(bench.servers, size.shoppers)))
    return rows, drawn(legs)


def main() -> None:
    """Measure, and publish."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.stream", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="in two minutes, coarser")
    size = QUICK if parser.parse_args().quick else WHOLE
    *others, core = sorted(os.sched_getaffinity(0))
    cores = set(others) or {core}
    with (
        tempfile.TemporaryDirectory() as folder,
        servers(Path(folder), cores) as both,
        pinned(cores),
        Progress() as progress,
    ):
        bench = Bench(both, core, Path(folder) / "logs")
        rows, figure = asyncio.run(run_all(bench, size, progress))
    publish("stream", rows, figure)


if __name__ == "__main__":
    main()
