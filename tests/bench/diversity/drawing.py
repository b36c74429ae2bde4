"""What was measured, as rows, as a table and as a chart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import altair as alt
import numpy as np
import vl_convert
from rich.table import Table

from model_export.evaluation.metrics import Interval
from tests.bench.diversity.arms import DPP, MMR, Arm
from tests.bench.diversity.variety import Variety
from tests.bench.report import Row

COLORS: Final = {MMR: "#1857c4", DPP: "#d9822b"}
"""Told apart by lightness, too."""
SIZE: Final = {"width": 640, "height": 360}
FONT: Final = "Arial, Helvetica, Liberation Sans, sans-serif"


PLURAL: Final = {"category": "categories", "brand": "brands", "merchant": "merchants"}


class Figure(NamedTuple):
    """One column of the table, and what rows say of it."""

    head: str
    what: str
    value: float
    unit: str


class Found(NamedTuple):
    """An arm, what its lists are, and what they lost against the ranking."""

    arm: Arm
    variety: Variety
    lost: Interval

    @property
    def name(self) -> str:
        """As tables have it."""
        return f"{self.arm.method} {self.arm.strength:g}"

    def figures(self) -> list[Figure]:
        """All but NDCG and its loss."""
        each = self.variety
        found = [
            Figure("distance", "distance", each.distance, "1 - cosine"),
            Figure("first 4", "distance of the first four", each.first, "1 - cosine"),
        ]
        if each.apart is not None:
            apart = 100 * each.apart
            found.append(Figure("apart, %", "pairs of two categories", apart, "%"))
        found += [Figure(PLURAL[k], PLURAL[k], of, "a list") for k, of in each.different.items()]
        shown = 100 * each.coverage
        return [*found, Figure("shown, %", "shown to anybody", shown, "% of the catalogue")]


def rows_of(question: str, found: Sequence[Found]) -> Iterator[Row]:
    """All figures of a question; the spread of a loss is its 95 % interval."""
    for each in found:
        ndcg = float(each.variety.ndcg.mean())
        yield Row(f"{question}: {each.name}", ndcg, "NDCG@10", (ndcg, ndcg))
        mean, low, high = each.lost
        yield Row(f"{question}: {each.name}: NDCG@10 lost", mean, "%", (low, high))
        for _, what, value, unit in each.figures():
            yield Row(f"{question}: {each.name}: {what}", value, unit, (value, value))


def rows_at(question: str, found: Sequence[Found], percent: float) -> Iterator[Row]:
    """What each of the two brings where so much is lost, between the strengths beside it."""
    for method in COLORS:
        curve = [each for each in found if each.arm.method == method]
        lost = np.maximum.accumulate([each.lost.mean for each in curve])
        for figures in zip(*(each.figures() for each in curve), strict=True):
            _, what, _, unit = figures[0]
            value = float(np.interp(percent, lost, [each.value for each in figures]))
            name = f"{question}: {method} where {percent:g} % is lost: {what}"
            yield Row(name, value, unit, (value, value))


def row_of_time(arm: Arm, size: int, runs: Sequence[float], aim: float | None) -> Row:
    """What a call takes."""
    what = f"a call of {arm.method} {arm.strength:g}, 10 of {size}"
    return Row(what, float(np.median(runs)), "µs", (min(runs), max(runs)), aim=aim)


def table(question: str, found: Sequence[Found]) -> Table:
    """A line for each arm."""
    heads = (each.head for each in found[0].figures())
    drawn = Table("", "NDCG@10", "lost, %", *heads, title=question)
    for each in found:
        mean, low, high = each.lost
        loss = f"{mean:.2f} ({low:.2f} to {high:.2f})"
        cells = (f"{figure.value:.4g}" for figure in each.figures())
        drawn.add_row(each.name, f"{each.variety.ndcg.mean():.4f}", loss, *cells)
    return drawn


def draw(path: Path, title: str, found: Sequence[Found]) -> None:
    """Write a chart: what is left of NDCG against how unlike the products of a list are."""
    values = [
        {
            "method": each.arm.method,
            "strength": f"{each.arm.strength:g}",
            "distance": each.variety.distance,
            "left": 100 - each.lost.mean,
        }
        for each in found
        if each.arm.method in COLORS
    ]
    data = alt.Data(values=values)  # type: ignore[no-untyped-call]  # Altair leaves it untyped
    base = alt.Chart(data).encode(
        x=alt.X("distance:Q", title="distance of a list's products, 1 - cosine", scale=_near()),
        y=alt.Y("left:Q", title="NDCG@10, % of the ranking's", scale=_near()),
        color=alt.Color(
            "method:N",
            title=None,
            scale=alt.Scale(domain=list(COLORS), range=list(COLORS.values())),
            legend=alt.Legend(orient="top"),
        ),
        order="distance:Q",
    )
    names = base.transform_filter(alt.datum.method == MMR)
    chart = alt.layer(
        base.mark_line(point=True, strokeWidth=2),
        names.mark_text(align="left", dx=7, dy=-7, fontSize=11).encode(text="strength:N"),
    )
    styled = chart.properties(title=title, **SIZE).configure(font=FONT, background="white")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(vl_convert.vegalite_to_svg(styled.to_dict()))


def _near() -> alt.Scale:
    return alt.Scale(zero=False, nice=True)
