"""What the tests of ``tests/bench/accuracy`` share: small files, and what was told of a run."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np

from tests.bench.accuracy.contract import Epoch, Figures, Outcome, Task
from tests.bench.accuracy.racing import Run

NOTHING = Figures(0.0, 0.0)


def small_file(folder: Path, *, users: int, items: int, seed: int = 1) -> Path:
    """Users who go on by three items with each step, now and then by any."""
    random = np.random.default_rng(seed)
    path = folder / "small.txt.gz"
    with gzip.open(path, "wt") as lines:
        for user in range(1, users + 1):
            steps = np.where(random.random(random.integers(5, 12)) < 0.1, 7, 3)
            history = (random.integers(items) + steps.cumsum()) % items + 1
            lines.write(" ".join(map(str, [user, *history])) + "\n")
    return path


def task(data: Path, **options: float) -> Task:
    """A short one."""
    return Task(str(data), seed=1, threads=1, epochs=4, patience=4, options=options)


def run(name: str, ndcgs: list[float], *, seconds: float, peak_bytes: int) -> Run:
    """A run whose epochs took ``seconds`` each, and twice the processor time."""
    epochs = [Epoch(seconds, 2 * seconds, 0.1, Figures(0.0, each)) for each in ndcgs]
    return Run(name, epochs, Outcome(1, NOTHING, NOTHING), 99.0, 50.0, peak_bytes)
