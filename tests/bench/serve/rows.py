"""From measured runs to a bench's rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rich.table import Table

from tests.bench.report import Row
from tests.bench.serve.measuring import Figures, median

BOUNDS: Final = (2.0, 3.0, 4.0, 5.0, 7.0, 10.0, 15.0, 20.0, 50.0, 100.0, float("inf"))
"""Of the histograms, in milliseconds."""
BAR: Final = 60


def latencies(name: str, runs: Sequence[Figures]) -> list[Row]:
    """Their median, 99th and 99.9th percentile."""
    return [
        row(f"{name}: {which}", "ms", [getattr(run, which) for run in runs])
        for which in ("p50", "p99", "p999")
    ]


def histogram(name: str, runs: Sequence[Figures]) -> list[Row]:
    """Which share of the calls came within so many milliseconds, and not within fewer."""
    made, before = [], 0.0
    for bound in BOUNDS:
        shares = [
            sum(before <= each < bound for each in run.latencies) / len(run.latencies)
            for run in runs
        ]
        made.append(row(f"{name}: {before:g} to {bound:g} ms", "", shares))
        before = bound
    return made


def drawn(rows: Sequence[Row]) -> Table:
    """The histograms as bars."""
    table = Table("latency", "share", title="latencies")
    for each in rows:
        if " to " in each.measure and each.measure.endswith(" ms"):
            table.add_row(each.measure, "█" * round(BAR * each.value))
    return table


def row(
    measure: str, unit: str, values: Sequence[float], limits: tuple[float, float] | None = None
) -> Row:
    """One measure of several runs; ``limits`` are gate and aim, infinite where there is none."""
    told = [limit if limit < float("inf") else None for limit in limits or ()]
    return Row(measure, median(values), unit, (min(values), max(values)), *told)
