"""How far a plan is from what a training then takes: ``make bench-plan``.

The machine is measured first. Then three trainings are planned and run, each a process of its
own: sequences of single events (Amazon's Beauty, where its file is at hand), baskets (the
Complete Journey), and a catalogue of many products that is made up. Processor time is what the
plan foretells; the time by the clock also says how busy the machine was with other things.
"""

from __future__ import annotations

import argparse
import gzip
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import numpy as np
from rich.progress import track
from rich.table import Table

from model_export import prepared_folder
from model_export.dataset import Ids, Interactions, Prepared
from model_export.planning.plan import Plan, seconds
from model_export.planning.synthetic import made_up
from model_export.training.checkpoint import Checkpoint
from tests.bench.report import ROOT, Row, publish

BEAUTY: Final = ROOT.parent / "shared/data/amazon-5core/Beauty.txt.gz"
LOOK_SECONDS: Final = 0.05
"""Between two looks at a process's memory."""
COMMAND: Final = [sys.executable, "-m", "model_export"]


class Run(NamedTuple):
    """What one process took."""

    seconds: float
    """By the clock."""
    processor_seconds: float
    peak_bytes: int
    said: str


class Compared(NamedTuple):
    """A training, planned and run."""

    name: str
    plan: Plan
    epochs: int
    run: Run

    @property
    def processor_seconds(self) -> float:
        """What the plan says of so many epochs as there were."""
        return sum(seconds(self.plan.work, self.plan.machine, self.epochs).values())


def main() -> None:
    """Measure, and publish."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.planning", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="cuts of the data, two epochs each")
    quick = parser.parse_args().quick
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        machine = folder / "machine.json"
        started("plan", "--calibrate", "--machine", str(machine))
        told = ("--epochs", "2") if quick else ()
        found = [
            compared(title, data, machine, told)
            for title, data in track(list(prepared(folder, quick=quick)), "train")
        ]
    publish("plan", [row for each in found for row in rows(each)], drawn(found))


def prepared(folder: Path, *, quick: bool) -> Iterator[tuple[str, Path]]:
    """The data to train on, by what it is."""
    if BEAUTY.exists():
        text = gzip.decompress(BEAUTY.read_bytes()).splitlines(keepends=True)
        (folder / "Beauty.txt").write_bytes(b"".join(text[:4_000] if quick else text))
        told = ("--format", "s3rec", "--to", str(folder / "beauty"))
        started("prepare", str(folder / "Beauty.txt"), *told)
        yield "Beauty", folder / "beauty"
    else:
        save(lambda: made_up(4_000 if quick else 22_363, 12_101, 198_502), folder / "beauty")
        yield "like Beauty", folder / "beauty"
    started("prepare", "--complete-journey", "--to", str(folder / "journey"))
    if quick:
        save(lambda: cut(prepared_folder.load(folder / "journey"), 300), folder / "households")
    yield "Complete Journey", folder / ("households" if quick else "journey")
    users, items, events = (3_000, 30_000, 60_000) if quick else (30_000, 90_000, 600_000)
    save(lambda: made_up(users, items, events, lines=2.0), folder / "made-up")
    yield "made up", folder / "made-up"


def save(make: Callable[[], Prepared], folder: Path) -> None:
    """Write a data set that is gone from memory afterwards."""
    prepared_folder.save(make(), folder)


def cut(data: Prepared, users: int) -> Prepared:
    """What the first users did."""
    rows = data.users < users
    columns = {name: getattr(data, name)[rows] for name in Interactions.__slots__}
    ids = Ids(data.ids.users[:users], data.ids.items, data.ids.queries, data.ids.groups[:users])
    source = msgspec.structs.replace(data.source, rows_kept=int(np.count_nonzero(rows)))
    return Prepared(**columns, ids=ids, source=source, content=data.content)


def compared(name: str, data: Path, machine: Path, told: tuple[str, ...]) -> Compared:
    """Plan a training, and run it."""
    planned = started("plan", str(data), "--machine", str(machine), "--json", *told)
    checkpoint = data.with_name(f"{data.name}-model")
    run = started("train", str(data), "--to", str(checkpoint), *told)
    made = msgspec.json.decode((checkpoint / "checkpoint.json").read_bytes(), type=Checkpoint)
    return Compared(name, msgspec.json.decode(planned.said, type=Plan), len(made.whole_curve), run)


def started(*arguments: str) -> Run:
    """One command of model_export in a process of its own, with an eye on its memory."""
    begun, most = time.perf_counter(), 0
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen([*COMMAND, *arguments], cwd=ROOT, stdout=said)
        ended, status, used = os.wait4(process.pid, os.WNOHANG)
        while not ended:
            most = max(most, peak_bytes(process.pid))
            time.sleep(LOOK_SECONDS)
            ended, status, used = os.wait4(process.pid, os.WNOHANG)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"{arguments[0]} ended with {process.returncode}")
        said.seek(0)
        text = said.read().decode()
    passed = time.perf_counter() - begun
    return Run(passed, used.ru_utime + used.ru_stime, most, text)


def peak_bytes(process: int) -> int:
    """The most that a process held since it became this program; 0 when it is gone."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return 0
    told = (line.split() for line in lines if line.startswith("VmHWM:"))
    return next((int(words[1]) * 1024 for words in told), 0)


def rows(each: Compared) -> Iterator[Row]:
    """By how much the plan was wrong; above 0 where it said too much."""
    wrong = {
        "processor time": each.processor_seconds / each.run.processor_seconds - 1,
        "memory": each.plan.memory.peak / each.run.peak_bytes - 1,
    }
    for what, share in wrong.items():
        percent = 100 * share
        yield Row(f"{each.name}: error of {what}", percent, "%", (percent, percent))
    taken = {
        "processor time": (each.run.processor_seconds, "s"),
        "time by the clock": (each.run.seconds, "s"),
        "memory": (each.run.peak_bytes / 1e6, "MB"),
    }
    for what, (value, unit) in taken.items():
        yield Row(f"{each.name}: {what}", value, unit, (value, value))


def drawn(found: list[Compared]) -> Table:
    """Planned beside taken."""
    table = Table(
        "training", "epochs", "processor time", "by the clock", "memory", title="planned → taken"
    )
    for each in found:
        work, run, told = each.plan.work, each.run, each.processor_seconds
        busy = each.plan.machine.clock
        table.add_row(
            each.name,
            f"{work.epochs} → {each.epochs}",
            f"{told:,.0f} → {run.processor_seconds:,.0f} s",
            f"{told * busy:,.0f} → {run.seconds:,.0f} s",
            f"{each.plan.memory.peak / 1e6:,.0f} → {run.peak_bytes / 1e6:,.0f} MB",
        )
    return table


if __name__ == "__main__":
    main()
