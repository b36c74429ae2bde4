"""What an event costs each contender, drawn."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

from rich.bar import Bar
from rich.table import Table

from tests.bench.stream.measuring import Figures


def drawn(legs: Mapping[str, Mapping[str, Sequence[Figures]]]) -> Table:
    """A bar for each contender of each leg, the medians of its runs."""
    table = Table(title="processor time of the worker, µs an event", box=None)
    for name in ("leg", "contender", "µs"):
        table.add_column(name, no_wrap=True, justify="right" if name == "µs" else "left")
    table.add_column("", width=40)
    medians = {
        (leg, name): statistics.median(figure.worker_micros for figure in figures)
        for leg, runs in legs.items()
        for name, figures in runs.items()
    }
    longest = max(medians.values())
    for (leg, name), micros in medians.items():
        table.add_row(leg, name, f"{micros:.1f}", Bar(longest, 0, micros))
    return table
