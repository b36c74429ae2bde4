"""How fast data is prepared, in how much memory, and that little memory is enough.

Each measure is a process of its own. Under a limit (RLIMIT_DATA, which counts all that a process
may write to but its files) an input three times as large must be prepared.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import polars as pl
from rich.progress import track

from tests.bench.report import ROOT, Row, publish

LIMIT: Final = 768 << 20
"""Bytes of memory that the process under a limit may have."""

LONG: Final = 400
"""Characters of an event's id there, so that a large input is soon made."""

ACTIONS: Final = ("view", "click", "cart", "purchase", "search", "impression")


WATCHED: Final = """
import re, sys
from model_export.__main__ import main
status = main(sys.argv[1:])
print(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1])
sys.exit(status)
"""
"""Runs a command and prints the most that it held, in kibibytes."""


class Run(NamedTuple):
    """What one preparation took."""

    rows_a_second: float
    peak: float
    """Mebibytes resident, at the most."""


def generate(path: Path, rows: int) -> None:
    """A shop's log with everything that is cleaned by, 25 rows a user."""
    chance = np.random.default_rng(1)
    item = (50_000 * chance.random(rows) ** 3).astype(int)
    action = chance.choice(ACTIONS, rows, p=[0.5, 0.15, 0.08, 0.05, 0.07, 0.15])
    price = chance.lognormal(3, 1, 50_000)[item] * chance.uniform(0.9, 1.1, rows)
    frame = pl.DataFrame(
        {
            "user": chance.integers(rows // 25, size=rows),
            "item": item,
            "timestamp": 1_700_000_000 + chance.integers(90 * 86_400, size=rows),
            "event_type": action,
            "price": price.round(2),
            "words": chance.integers(20_000, size=rows),
            "event": np.arange(rows),
        }
    )
    is_search = pl.col("event_type") == "search"
    frame.select(
        pl.format("user-{}", "user").alias("user_id"),
        pl.format("item-{}", "item").alias("item_id"),
        "timestamp",
        "event_type",
        "price",
        pl.when(is_search).then(pl.format("words {}", "words")).alias("query"),
        pl.format("e-{}", "event").alias("event_id"),
    ).write_csv(path)


def generate_long(path: Path, size: int) -> int:
    """A log of at least ``size`` bytes with few, long rows; answers how many."""
    rows = size // LONG
    with path.open("w") as file:
        file.write("user_id,item_id,timestamp,event_type,event_id\n")
        for number in range(rows):
            at = 1_700_000_000 + number * 61
            file.write(f"u{number % 3000},i{number * 7 % 501},{at},view,{number}{'x' * LONG}\n")
    return rows


def prepare(path: Path, rows: int, *options: str, limit: int | None = None) -> Run:
    """Prepare a file in a process of its own."""
    told = ["prepare", str(path), *options, "--to", str(path.with_suffix(".data"))]
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", WATCHED, *told],
        cwd=ROOT,
        capture_output=True,
        text=True,
        preexec_fn=None if limit is None else limiting(limit),
        check=False,
        timeout=3600,
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(told)}: {done.stderr[-1000:]}")
    seconds = time.perf_counter() - started
    return Run(rows / seconds, int(done.stdout.split()[-1]) / 1024)


def limiting(limit: int) -> Callable[[], None]:
    """What a new process does before it begins."""
    return lambda: resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def row(measure: str, values: list[float], unit: str) -> Row:
    """The median of the runs."""
    return Row(measure, statistics.median(values), unit, (min(values), max(values)))


def main() -> None:
    """Measure, and publish."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.preparing", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short run, coarser")
    quick = parser.parse_args().quick
    runs, rows, size = (1, 500_000, LIMIT) if quick else (3, 5_000_000, 3 * LIMIT)
    with tempfile.TemporaryDirectory(dir=ROOT / "build") as folder:
        plain, long = Path(folder) / "plain.csv", Path(folder) / "long.csv"
        generate(plain, rows)
        every = [prepare(plain, rows) for _ in track(range(runs), "prepare")]
        few = [prepare(plain, rows, "--part-rows", "100000") for _ in track(range(runs), "parts")]
        long_rows = generate_long(long, size)
        bound = prepare(long, long_rows, "--part-rows", "250000", limit=LIMIT)
    name = f"{rows:,} rows of CSV"
    publish(
        "prepare",
        [
            row(f"{name}: prepared", [each.rows_a_second for each in every], "rows/s"),
            row(f"{name}: memory", [each.peak for each in every], "MiB"),
            row(f"{name}: prepared, parts of 100,000", [e.rows_a_second for e in few], "rows/s"),
            row(f"{name}: memory, parts of 100,000", [each.peak for each in few], "MiB"),
            row(f"{size >> 20:,} MiB under a limit of {LIMIT >> 20}", [bound.peak], "MiB"),
        ],
    )


if __name__ == "__main__":
    main()
