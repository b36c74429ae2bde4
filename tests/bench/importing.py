"""How fast a shop's files become events of the topic: ``make bench-import``.

The import is a process of its own, with Kafka beside it on the same machine. Its processor time
says what one core does where nothing else is waited for; the time by the clock is what one has.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import polars as pl
import psutil
from rich.progress import track

from deploy.local.kafka import EmbeddedKafka
from deploy.local.topics import create_topics
from tests.bench.report import ROOT, Row, publish

LINES: Final = 3
"""Of each order."""

LOOK_SECONDS: Final = 0.05
"""Between two looks at a process's memory. (What the kernel says at its end is our own's, too.)"""


class Run(NamedTuple):
    """What one import of a file took."""

    seconds: float
    processor_seconds: float
    memory_mib: float
    """The most it held."""


def rows(count: int) -> Iterator[dict[str, str]]:
    """Of each four rows one is a look and three are lines of an order."""
    for number in range(count):
        order, line = divmod(number, LINES + 1)
        told = {"occurred_at": f"2021-03-01T09:{order // 60 % 60:02}:{order % 60:02}.{order:09}Z"}
        told |= {"user_id": f"u{order % 50_000}", "product_id": f"p{number * 7919 % 10_000}"}
        bought = {"order_id": f"o{order}", "quantity": "1", "unit_price": "12.50"}
        yield told | ({"action": "purchase"} | bought if line else {"action": "view"})


def written(folder: Path, count: int) -> dict[str, Path]:
    """The same rows in both forms."""
    frame = pl.DataFrame(list(rows(count))).with_columns(pl.lit("EUR").alias("currency"))
    paths = {"CSV": folder / "shop.csv", "Parquet": folder / "shop.parquet"}
    frame.write_csv(paths["CSV"])
    frame.write_parquet(paths["Parquet"])
    return paths


def imported(path: Path, *arguments: str, servers: str, prefix: str) -> Run:
    """One import by a process of its own, into topics that nobody wrote to."""
    environ = {
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "build/gen")]),
        "ATTUNE_IMPORT_KAFKA_SERVERS": servers,
        "ATTUNE_IMPORT_TOPIC_PREFIX": prefix,
    }
    folder = path.parent / secrets.token_hex(4)
    told = ["--shop", "demo", "--files", str(path), "--folder", str(folder), *arguments]
    begun = time.perf_counter()
    process = psutil.Popen(
        [sys.executable, "-m", "services.events", "import", *told],
        env=environ,
        stdout=subprocess.DEVNULL,
    )
    most, (ended, status, used) = 0, os.wait4(process.pid, os.WNOHANG)
    while not ended:
        most = max(most, process.memory_info().rss)
        time.sleep(LOOK_SECONDS)
        ended, status, used = os.wait4(process.pid, os.WNOHANG)
    if status:
        raise SystemExit(f"the import ended with {os.waitstatus_to_exitcode(status)}")
    return Run(time.perf_counter() - begun, used.ru_utime + used.ru_stime, most / 2**20)


def measured(runs: int, count: int) -> dict[str, list[Run]]:
    """Runs by what was done."""
    found: dict[str, list[Run]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths, kafka = written(folder, count), EmbeddedKafka(folder / "kafka")
        kafka.start()
        try:
            for number in track(range(runs), "import"):
                prefix = f"t{number}."
                asyncio.run(create_topics(kafka.servers, prefix=prefix))
                for form, path in paths.items():
                    told = {"servers": kafka.servers, "prefix": prefix}
                    found.setdefault(form, []).append(imported(path, **told))
                    dry = imported(path, "--dry-run", **told)
                    found.setdefault(f"{form}, dry run", []).append(dry)
        finally:
            kafka.kill()
    return found


def figures(found: dict[str, list[Run]], count: int) -> Iterator[Row]:
    """The median over the runs of each figure."""
    for what, runs in found.items():
        yield row(f"{what}: rows/s of one core", [count / run.processor_seconds for run in runs])
        yield row(f"{what}: rows/s by the clock", [count / run.seconds for run in runs])
        yield row(f"{what}: memory", [run.memory_mib for run in runs], "MiB")


def row(measure: str, values: Sequence[float], unit: str = "rows/s") -> Row:
    """A figure, with the least and the greatest of the runs."""
    return Row(measure, statistics.median(values), unit, (min(values), max(values)))


def main() -> None:
    """Measure, and publish."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.importing", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one run of fewer rows, coarser")
    quick = parser.parse_args().quick
    count = 100_000 if quick else 1_000_000
    publish("import", list(figures(measured(1 if quick else 3, count), count)))


if __name__ == "__main__":
    main()
