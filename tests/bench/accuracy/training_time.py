"""How long a whole training takes on this machine: the first half of ``make bench-accuracy``.

Amazon Beauty, ids only: ``python -m model_export train`` with a thread for each core and the
settings that the data suggests, by the clock from start to exit, so with its start, its first
vectors and what judging each epoch takes; one after the other, nothing beside it. With
``--quick``: two epochs of one seed.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from rich.progress import track

from tests.bench.report import ROOT, Row, publish

DATA: Final = ROOT.parent / "shared/data/amazon-5core/Beauty.txt.gz"
CORES: Final = len(os.sched_getaffinity(0))
SEEDS: Final = 3
PATIENCE: Final = 40
"""To the last epoch: the longest that it can take."""
GATE, AIM = 5.0, 2.0
"""Minutes."""


def run(*arguments: object) -> float:
    """One command of ours, to its end; the seconds that it took."""
    begun = time.perf_counter()
    told = [sys.executable, "-m", "model_export", *map(str, arguments)]
    subprocess.run(told, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begun


def main() -> None:
    """Measure, and publish."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.accuracy.training_time", description=__doc__
    )
    parser.add_argument("--data", type=Path, default=DATA, help="users' items, gzipped")
    parser.add_argument("--seeds", type=int, default=SEEDS, help=f"trainings; {SEEDS} by default")
    parser.add_argument("--quick", action="store_true", help="two epochs of one seed")
    told = parser.parse_args()
    if not told.data.exists():
        parser.error(f"{told.data} is not here: it may not be passed on with the project")
    more = ("--epochs", 2) if told.quick else ("--patience", PATIENCE)
    with tempfile.TemporaryDirectory() as made:
        data = Path(made) / "data"
        prepared = run("prepare", told.data, "--format", "s3rec", "--to", data)
        minutes = [
            run("train", data, "--to", Path(made) / str(seed), "--seed", seed, *options) / 60
            for seed in track(range(1, (1 if told.quick else told.seeds) + 1), "trained")
            for options in [("--threads", CORES, *more)]
        ]
    middle, spread = statistics.median(minutes), (min(minutes), max(minutes))
    rows = [
        Row("Beauty, ids only: preparing", prepared, "s", (prepared, prepared)),
        Row(f"Beauty, ids only: training on {CORES} threads", middle, "min", spread, GATE, AIM),
    ]
    publish("training-time", rows)


if __name__ == "__main__":
    main()
