"""From runs to rows: what each contender took, and ours against a library's."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Final

from rich.table import Table

from tests.bench.accuracy.contract import Figures
from tests.bench.accuracy.racing import Run
from tests.bench.report import Row

FASTER: Final = 1.5
"""How many times as fast as a library we are held to be."""
AT_MOST: Final = 1.0
"""How many times its memory we are held to."""
SHARES: Final = (0.5, 0.8, 0.9, 0.95, 0.99, 1.0)


def row(measure: str, value: float, unit: str, gate: float | None = None) -> Row:
    """Of a single run: it has no spread."""
    return Row(measure, value, unit, (value, value), gate)


def rows_of(run: Run) -> list[Row]:
    """What a contender took in all, in an epoch, and where it has come."""
    rows = [
        _epochs(f"{run.name}: epoch", [epoch.seconds for epoch in run.epochs]),
        _epochs(
            f"{run.name}: epoch, processor time",
            [epoch.processor_seconds for epoch in run.epochs],
        ),
        row(f"{run.name}: epochs", len(run.epochs), "epochs"),
        row(f"{run.name}: whole run", run.seconds, "s"),
        row(f"{run.name}: whole run, processor time", run.processor_seconds, "s"),
        row(f"{run.name}: at most", run.peak_bytes / 1e6, "MB"),
        row(f"{run.name}: validation, best", run.best_ndcg, "NDCG@10"),
    ]
    outcome = run.outcome
    for history, figures in (("masked", outcome.masked), ("not masked", outcome.unmasked)):
        rows += _figures(f"{run.name}: test, history {history}", figures)
    return rows


def _epochs(what: str, seconds: Sequence[float]) -> Row:
    return Row(what, statistics.median(seconds), "s", (min(seconds), max(seconds)))


def _figures(what: str, figures: Figures) -> list[Row]:
    return [row(what, figures.recall, "Recall@10"), row(what, figures.ndcg, "NDCG@10")]


def common_ndcg(runs: Sequence[Run]) -> float:
    """The highest NDCG@10 on the validation items that all of them have reached."""
    return min(run.best_ndcg for run in runs)


def rows_against(ours: Run, theirs: Run) -> list[Row]:
    """How many times as fast as theirs ours is to the same NDCG@10, and its share of memory."""
    level = common_ndcg((ours, theirs))
    what = f"{ours.name} against {theirs.name}"
    pairs = (
        ("time", ours.seconds_to(level), theirs.seconds_to(level), FASTER),
        (
            "processor time",
            ours.processor_seconds_to(level),
            theirs.processor_seconds_to(level),
            None,
        ),
    )
    rows = [
        row(f"{what}, {cost} to NDCG@10 {level:.4f}", theirs_took / ours_took, "times", gate)
        for cost, ours_took, theirs_took, gate in pairs
        if ours_took and theirs_took
    ]
    memory = ours.peak_bytes / theirs.peak_bytes
    return [*rows, row(f"{what}, memory", memory, "times", AT_MOST)]


def milestones(runs: Sequence[Run]) -> Table:
    """When each first came to a share of the NDCG@10 that all have reached."""
    table = Table(
        "validation NDCG@10", title="seconds of training (epochs) to a validation NDCG@10"
    )
    for run in runs:
        table.add_column(run.name, justify="right")
    for share in SHARES:
        level = share * common_ndcg(runs)
        table.add_row(f"{level:.4f}", *(_reached(run, level) for run in runs))
    return table


def _reached(run: Run, level: float) -> str:
    return f"{run.seconds_to(level):,.1f} ({run.epochs_to(level)})"
