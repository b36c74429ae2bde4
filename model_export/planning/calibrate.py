"""Measures a machine: trains on made-up data of several sizes, and fits what each term took.

It is the real training that runs, with a clock in the place of the progress bar. A term's
constant comes from all the runs at once by non-negative least squares (Lawson and Hanson,
"Solving Least Squares Problems", 1974) on relative errors, so a short step counts as much as a
long one.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import torch
from scipy.optimize import nnls

from model_export import prepared_folder
from model_export.planning.costs import PHASES
from model_export.planning.facts import measured
from model_export.planning.machine import Machine, held_at_most, processor
from model_export.planning.synthetic import made_up
from model_export.planning.workload import Workload, workload
from model_export.settings import TrainSettings, train_settings
from model_export.training.processes import processes
from model_export.training.train import train

Say = Callable[[str], None]


class Size(NamedTuple):
    """Of one run: the data, and what training is told."""

    users: int
    items: int
    events: int
    lines: float
    told: Mapping[str, Any]


SIZES: Final = (
    Size(400, 300, 3_000, 1.0, {"max_length": 20, "batch_rows": 16}),
    Size(1_500, 2_000, 30_000, 1.0, {"max_length": 50, "batch_rows": 64, "dimensions": 128}),
    Size(1_500, 40_000, 42_000, 1.0, {"max_length": 50, "batch_rows": 16, "dimensions": 128}),
    Size(150, 15_000, 45_000, 10.0, {"max_length": 100, "recall": True, "dimensions": 128}),
    Size(500, 8_000, 12_000, 1.0, {"max_length": 50, "batch_rows": 16, "negatives": 4096}),
    Size(500, 3_000, 12_000, 1.0, {"max_length": 50, "batch_rows": 16, "layers": 2}),
    Size(3_000, 12_000, 20_000, 1.0, {"max_length": 20, "batch_rows": 32}),
)
"""Small and large tables, short and long rows, baskets, more negatives, layers, width."""
CHECKED: Final = Size(1_500, 10_000, 24_000, 1.0, {"max_length": 50, "dimensions": 128})
"""Not fitted: how far its estimate is off is what a plan says of itself."""


class Clock:
    """Told how a training goes, it notes when it was told; processor and clock seconds."""

    def __init__(self) -> None:
        self.begun = self._now()
        self.steps: list[list[tuple[float, float]]] = [[]]
        self.epochs: list[tuple[float, float]] = []

    def begin(self, name: str) -> None:
        """See :class:`model_export.training.watching.Progress`."""

    def step(self, done: float, loss: float) -> None:
        """See :class:`model_export.training.train.Progress`."""
        del done, loss
        self.steps[-1].append(self._now())

    def stage(self, name: str) -> None:
        """See :class:`model_export.training.watching.Progress`."""

    def epoch(self, number: int, loss: float, ndcg: float) -> None:
        """See :class:`model_export.training.train.Progress`."""
        del number, loss, ndcg
        self.epochs.append(self._now())
        self.steps.append([])

    def phases(self) -> dict[str, float]:
        """Processor seconds of each phase, where one step lasts as long as half of them do."""
        used = [[at for at, _ in epoch] for epoch in self.steps if epoch]
        step = float(np.median(np.concatenate([np.diff(epoch) for epoch in used])))
        again = used[1][0] - self.epochs[0][0] - step
        return {
            "begin": max(used[0][0] - self.begun[0] - step - again, 0.0),
            "prepare": max(again, 0.0),
            "step": step,
            "validate": self.epochs[-1][0] - used[-1][-1],
        }

    def clock(self) -> float:
        """Seconds by the clock for one of the processor's, over the whole."""
        used, passed = (b - a for a, b in zip(self.begun, self.epochs[-1], strict=True))
        return passed / used

    @staticmethod
    def _now() -> tuple[float, float]:
        return time.process_time(), time.perf_counter()


class Run(NamedTuple):
    """One size, and what it took."""

    work: Workload
    phases: Mapping[str, float]
    clock: float


def calibrate(
    *, threads: int, device: str, say: Say, sizes: Sequence[Size] = SIZES, checked: Size = CHECKED
) -> Machine:
    """Measure this machine; half a minute. Sets torch's threads for the whole process."""
    say("a training of next to nothing, to load what every training does")
    _timed(sizes[0], threads, device)
    base, loaded, runs = held_at_most(), time.process_time(), []
    for size in sizes:
        say(f"{size.users:,} users, {size.items:,} items, {size.events:,} events")
        runs.append(_timed(size, threads, device))
        if len(runs) == 1:
            loaded -= time.process_time() - loaded  # the same again, with everything loaded
    say("one more, to check")
    another = _timed(checked, threads, device)
    seconds = {phase: fitted(phase, runs) for phase in PHASES}
    name, cores = processor()
    return Machine(
        processor=name,
        cores=cores,
        threads=threads,
        device=device,
        torch=str(torch.__version__),
        loaded=round(loaded, 2),
        base_bytes=base,
        seconds=seconds,
        clock=round(statistics.median(run.clock for run in runs), 3),
        error=round(error(another, seconds), 3),
    )


def fitted(phase: str, runs: Sequence[Run]) -> dict[str, float]:
    """Seconds for one of each of the phase's terms."""
    terms = [PHASES[phase](run.work) for run in runs]
    took = np.array([max(run.phases[phase], 1e-4) for run in runs])
    table = np.array([list(each.values()) for each in terms]) / took[:, None]
    scale = np.where(table.any(axis=0), table.max(axis=0), 1.0)
    found, _ = nnls(table / scale, np.ones(len(runs)))
    return dict(zip(terms[0], (found / scale).tolist(), strict=True))


def error(run: Run, constants: Mapping[str, Mapping[str, float]]) -> float:
    """How far an epoch's estimate is from what it took, as a share of that."""
    told = took = 0.0
    for phase, times in (("step", run.work.steps), ("validate", 1.0), ("prepare", 1.0)):
        terms = PHASES[phase](run.work)
        told += times * sum(constants[phase][name] * amount for name, amount in terms.items())
        took += times * run.phases[phase]
    return abs(told / took - 1)


def _timed(size: Size, threads: int, device: str) -> Run:
    told = {**size.told, "epochs": 2, "threads": threads, "patience": 2}
    settings: TrainSettings = train_settings(told)
    data = made_up(size.users, size.items, size.events, lines=size.lines)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepared_folder.save(data, folder / "data")
        work = workload(measured(folder / "data"), settings)
        clock = Clock()
        about = prepared_folder.load_about(folder / "data")
        shards = prepared_folder.Shards(folder / "data")
        mine = processes(device)
        train(about, shards, settings, progress=clock, processes=mine, folder=folder / "state")
    return Run(work, clock.phases(), clock.clock())
