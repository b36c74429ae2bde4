"""How well our model foretells, beside the best published figures: ``make bench-accuracy``.

Leave-one-out on the files of ``../shared/data/amazon-5core``, ranked against all items, three
seeds. Each model trains on all but the last two items of a user and stops by the last but one;
its figures on the last items are given with the history masked (as the anchors have it) and
not, and for a second model that learned from the last but one, too. With ``--quick``: two
epochs of one seed, which say how long an epoch is and little of accuracy.
"""

from __future__ import annotations

import argparse
import os
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
from rich.progress import Progress
from rich.table import Table

from tests.bench.accuracy.beside_library import run
from tests.bench.accuracy.contenders import ATTUNE
from tests.bench.accuracy.contract import Figures, Task
from tests.bench.accuracy.racing import Run
from tests.bench.report import ROOT, TARGET, Row, publish

DATA: Final = ROOT.parent / "shared/data/amazon-5core"
THREADS: Final = min(2, len(os.sched_getaffinity(0)))
SEEDS: Final = (1, 2, 3)
PATIENCE: Final = 4


class Question(NamedTuple):
    """One line of the gates: a file, what is known of its items, and what is to be reached."""

    name: str
    file: str
    content: bool
    gate: Figures
    aim: Figures
    minutes: float | None = None
    """How long a training may take."""


QUESTIONS: Final = (
    Question(
        "Beauty, ids only",
        "Beauty.txt.gz",
        False,
        Figures(0.0928, 0.0531),
        Figures(0.098, 0.061),
        5,
    ),
    Question(
        "Beauty, with content", "Beauty.txt.gz", True, Figures(0.101, 0.060), Figures(0.110, 0.066)
    ),
    Question(
        "Sports, ids only",
        "Sports_and_Outdoors.txt.gz",
        False,
        Figures(0.0569, 0.0323),
        Figures(0.061, 0.036),
    ),
)


def rows_of(question: Question, runs: Sequence[Run]) -> list[Row]:
    """Mean and spread over the seeds, under each protocol."""
    protocols = {
        "": [each.outcome.masked for each in runs],
        ", history not masked": [each.outcome.unmasked for each in runs],
        ", trained with the validation items": [
            each.outcome.refit for each in runs if each.outcome.refit
        ],
    }
    rows = []
    for protocol, found in protocols.items():
        for unit, name in (("Recall@10", "recall"), ("NDCG@10", "ndcg")):
            gate, aim = (getattr(each, name) for each in (question.gate, question.aim))
            held = {} if protocol else {"gate": gate, "aim": aim}
            values = [getattr(each, name) for each in found]
            rows.append(_row(f"{question.name}{protocol}, mean", values, unit, **held))
    minutes = [sum(epoch.seconds for epoch in each.epochs) / 60 for each in runs]
    gate = {"gate": question.minutes, "aim": 2.0} if question.minutes else {}
    rows.append(_row(f"{question.name}: training", minutes, "min", **gate))
    return rows


def _row(what: str, values: Sequence[float], unit: str, **held: float) -> Row:
    return Row(what, statistics.mean(values), unit, (min(values), max(values)), **held)


def curves(named: Sequence[tuple[str, Run]]) -> Table:
    """What each run chose, and by what."""
    table = Table("run", "epochs", "best", "validation NDCG@10", "s an epoch", "peak MB")
    for name, each in named:
        seconds = statistics.median(epoch.seconds for epoch in each.epochs)
        table.add_row(
            name,
            str(len(each.epochs)),
            str(each.outcome.epoch),
            f"{each.best_ndcg:.4f}",
            f"{seconds:.1f}",
            f"{each.peak_bytes / 1e6:,.0f}",
        )
    return table


def main() -> None:
    """Measure, and publish."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.accuracy", description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA, help="the folder of the files")
    parser.add_argument(
        "--quick", action="store_true", help="in some minutes, says little of accuracy"
    )
    told = parser.parse_args()
    if not told.data.is_dir():
        parser.error(f"{told.data} is not here: its files may not be passed on with the project")
    TARGET.mkdir(parents=True, exist_ok=True)
    rows: list[Row] = []
    named: list[tuple[str, Run]] = []
    with Progress() as progress:
        for question in QUESTIONS:
            runs = []
            for seed in SEEDS[:1] if told.quick else SEEDS:
                options = {"content": float(question.content), "refit": 1.0}
                data = str((told.data / question.file).resolve())
                epochs = 2 if told.quick else 0
                task = Task(data, seed, THREADS, epochs, PATIENCE, options=options)
                runs.append(run(ATTUNE, task, progress))
                named.append((f"{question.name}, seed {seed}", runs[-1]))
            rows += rows_of(question, runs)
    (TARGET / "accuracy-runs.json").write_bytes(msgspec.json.encode(dict(named)))
    publish("accuracy", rows, curves(named))


if __name__ == "__main__":
    main()
