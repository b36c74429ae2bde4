"""How well our model foretells, beside the best published figures: ``make bench-accuracy``.

Leave-one-out on the files of ``../shared/data/amazon-5core``, ranked against all items, three
seeds. Each model trains on all but the last two items of a user and stops by the last but one;
its figures on the last items are given with the history masked (as the anchors have it) and
not, and blended with item-kNN as an export blends it; then those of a second model that learned
from the last but one, too. As many trainings run at a time as there are cores, a thread each.
With ``--quick``: two epochs of one seed, which say how long an epoch is and little of accuracy.
"""

from __future__ import annotations

import argparse
import os
import statistics
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
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
CORES: Final = len(os.sched_getaffinity(0))
SEEDS: Final = (1, 2, 3)
PATIENCE: Final = 4


class Question(NamedTuple):
    """One line of the gates: a file, what is known of its items, and what is to be reached."""

    name: str
    file: str
    content: bool
    gate: Figures
    aim: Figures


QUESTIONS: Final = (
    Question(
        "Beauty, ids only",
        "Beauty.txt.gz",
        False,
        Figures(0.0928, 0.0531),
        Figures(0.098, 0.061),
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
    outcomes = [each.outcome for each in runs]
    protocols: dict[str, list[Figures | None]] = {
        "": [each.masked for each in outcomes],
        ", history not masked": [each.unmasked for each in outcomes],
        ", blended": [each.blended for each in outcomes],
        ", read from product codes": [each.coded for each in outcomes],
        ", trained with the validation items": [each.refit for each in outcomes],
        ", trained with them and blended": [each.refit_blended for each in outcomes],
    }
    rows = []
    for protocol, told in protocols.items():
        found = [figures for figures in told if figures]
        for unit, name in (("Recall@10", "recall"), ("NDCG@10", "ndcg")):
            gate, aim = (getattr(each, name) for each in (question.gate, question.aim))
            held = {} if protocol else {"gate": gate, "aim": aim}
            values = [getattr(each, name) for each in found]
            rows.append(_row(f"{question.name}{protocol}, mean", values, unit, **held))
    kept = [each.coded.ndcg / each.masked.ndcg for each in outcomes if each.coded]
    rows.append(
        _row(f"{question.name}: product codes to whole vectors", kept, "NDCG@10", gate=0.99)
    )
    minutes = [sum(epoch.seconds for epoch in each.epochs) / 60 for each in runs]
    rows.append(_row(f"{question.name}: steps of the training, on one thread", minutes, "min"))
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


def settings_of(found: Mapping[str, Sequence[Run]]) -> Table:
    """What each file's data suggested; a setting that is the same for all stands once."""
    told = {name: runs[0].outcome.settings for name, runs in found.items()}
    table = Table("setting", *told, title="settings")
    for name in next(iter(told.values())):
        values = [str(settings.get(name)) for settings in told.values()]
        same = len(set(values)) == 1
        table.add_row(name, *(values[:1] if same else values))
    return table


def task_of(question: Question, data: Path, seed: int, epochs: int) -> Task:
    """What one training is told; by its own rules where ``epochs`` is 0."""
    options = {"content": float(question.content), "refit": 1.0, "blend": 1.0, "codes": 1.0}
    path = str((data / question.file).resolve())
    return Task(path, seed, 1, epochs, PATIENCE, options=options)


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
    seeds = SEEDS[:1] if told.quick else SEEDS
    epochs = 2 if told.quick else 0
    with Progress() as progress, ThreadPoolExecutor(CORES) as pool:
        asked = {
            question: [pool.submit(run, ATTUNE, task, progress) for task in tasks]
            for question in QUESTIONS
            for tasks in [[task_of(question, told.data, seed, epochs) for seed in seeds]]
        }
        found = {question: [each.result() for each in runs] for question, runs in asked.items()}
    rows = [row for question, runs in found.items() for row in rows_of(question, runs)]
    named = [
        (f"{question.name}, seed {seed}", each)
        for question, runs in found.items()
        for seed, each in zip(seeds, runs, strict=True)
    ]
    (TARGET / "accuracy-runs.json").write_bytes(msgspec.json.encode(dict(named)))
    chosen = settings_of({question.name: runs for question, runs in found.items()})
    publish("accuracy", rows, curves(named), chosen)


if __name__ == "__main__":
    main()
