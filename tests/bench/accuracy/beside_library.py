"""Train beside a library: ``make bench-library``.

The same file of ``../shared/data/amazon-5core``, the same ruler, the same threads, one after the
other, once. An epoch's time is training alone. What is compared is the time to the same NDCG@10
on the validation items: the highest that both have reached. The library takes hours to its best;
with ``--epochs`` each may train for so many at most, and they are compared where the lesser came.
With ``--quick``: a thousand users and two epochs, which says how long an epoch is and nothing
of accuracy.
"""

from __future__ import annotations

import argparse
import gzip
import os
import tempfile
from itertools import islice
from pathlib import Path
from typing import Final

import msgspec
from rich.progress import Progress

from tests.bench.accuracy import tables
from tests.bench.accuracy.contenders import CONTENDERS
from tests.bench.accuracy.contract import Epoch, Task
from tests.bench.accuracy.racing import Contender, Run, race
from tests.bench.report import ROOT, TARGET, publish

DATA: Final = ROOT.parent / "shared/data/amazon-5core/Beauty.txt.gz"
THREADS: Final = min(2, len(os.sched_getaffinity(0)))
SEED: Final = 1
EPOCHS, PATIENCE = 200, 10
QUICK_USERS, QUICK_EPOCHS = 1_000, 2


def first_users(data: Path, count: int, folder: Path) -> Path:
    """A file of the first users of ``data``."""
    target = folder / f"first-{data.name}"
    with gzip.open(data, "rt") as lines, gzip.open(target, "wt") as few:
        few.writelines(islice(lines, count))
    return target


def run(contender: Contender, task: Task, progress: Progress) -> Run:
    """Race one, and show how far it is."""
    bar = progress.add_task(contender.name, total=task.epochs)

    def seen(epoch: Epoch) -> None:
        told = f"{contender.name}, validation NDCG@10 {epoch.validation.ndcg:.4f}"
        progress.update(bar, advance=1, description=told)

    return race(contender, task, TARGET / f"{contender.name}.log", seen)


def main() -> None:
    """Measure, and publish."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.accuracy.beside_library", description=__doc__
    )
    parser.add_argument("--data", type=Path, default=DATA, help="users' items, gzipped")
    parser.add_argument("--epochs", type=int, default=EPOCHS, help="at most so many")
    parser.add_argument(
        "--quick", action="store_true", help="in a minute, says nothing of accuracy"
    )
    told = parser.parse_args()
    if not told.data.exists():
        parser.error(f"{told.data} is not here: it may not be passed on with the project")
    TARGET.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, Progress() as progress:
        data, epochs = told.data, told.epochs
        if told.quick:
            data, epochs = first_users(data, QUICK_USERS, Path(folder)), QUICK_EPOCHS
        task = Task(str(data.resolve()), SEED, THREADS, epochs, PATIENCE)
        ours, *others = runs = [run(contender, task, progress) for contender in CONTENDERS]
    rows = [row for each in runs for row in tables.rows_of(each)]
    rows += [row for other in others for row in tables.rows_against(ours, other)]
    (TARGET / "library-runs.json").write_bytes(msgspec.json.encode(runs))
    publish("library", rows, tables.milestones(runs))


if __name__ == "__main__":
    main()
