"""What was foretold, as rows, as a table and as a chart."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import altair as alt
import vl_convert
from rich.table import Table

from model_export.evaluation.metrics import Interval
from tests.bench.loop.keeping import Done
from tests.bench.report import Row

FROZEN: Final = "the first model, frozen"
LOOP: Final = "the loop's model"
COLORS: Final = {LOOP: "#1857c4", FROZEN: "#d9822b"}
"""Told apart by lightness, too."""
SIZE: Final = {"width": 640, "height": 320}
FONT: Final = "Arial, Helvetica, Liberation Sans, sans-serif"


class Period(NamedTuple):
    """One period: who foretold it how well, and what the round before it came to."""

    number: int
    frozen: Interval
    loop: Interval
    gain: Interval
    baskets: int
    round: Done


def rows_of(periods: Sequence[Period]) -> list[Row]:
    """All figures; the spread is the 95 % interval over shoppers."""
    rows = []
    for each in periods:
        for name, (mean, low, high) in ((FROZEN, each.frozen), (LOOP, each.loop)):
            rows.append(Row(f"period {each.number}: {name}", mean, "NDCG@10", (low, high)))
    later = [each.gain.mean for each in periods if each.number > 1]
    mean = sum(later) / len(later)
    spread = (min(later), max(later))
    rows.append(Row("later periods: the loop above the frozen one", mean, "NDCG@10", spread))
    mean, low, high = periods[-1].gain
    rows.append(Row("the last period: the loop above the frozen one", mean, "NDCG@10", (low, high)))
    lost = [1 - each.mean / first.mean for each, first in _ends(periods)]
    for name, share in zip((FROZEN, LOOP), lost, strict=True):
        value = 100 * share
        rows.append(Row(f"{name}: NDCG@10 lost since period 1", value, "%", (value, value)))
    seconds = [each.round.seconds for each in periods]
    mean = sum(seconds) / len(seconds)
    return [*rows, Row("a round, with its trial", mean, "s", (min(seconds), max(seconds)))]


def table(periods: Sequence[Period]) -> Table:
    """A line for each period."""
    drawn = Table("period", "baskets", FROZEN, LOOP, "the loop above", "the round before it")
    for each in periods:
        told = (_text(found) for found in (each.frozen, each.loop, each.gain))
        drawn.add_row(str(each.number), f"{each.baskets:,}", *told, _of_round(each.round))
    return drawn


def draw(path: Path, periods: Sequence[Period]) -> None:
    """Write a chart: NDCG@10 of both by period, with their intervals."""
    values = [
        {"period": each.number, "model": name, "ndcg": found.mean, "low": found.low}
        | {"high": found.high}
        for each in periods
        for name, found in ((FROZEN, each.frozen), (LOOP, each.loop))
    ]
    data = alt.Data(values=values)  # type: ignore[no-untyped-call]  # Altair leaves it untyped
    ticks = alt.Axis(values=[each.number for each in periods], format="d", grid=False)
    base = alt.Chart(data).encode(
        x=alt.X("period:Q", title="period of two weeks", axis=ticks),
        color=alt.Color(
            "model:N",
            title=None,
            scale=alt.Scale(domain=list(COLORS), range=list(COLORS.values())),
            legend=alt.Legend(orient="top"),
        ),
    )
    scale = alt.Scale(zero=False, nice=True)
    title = "NDCG@10, with 95 % intervals"
    band = base.mark_area(opacity=0.18).encode(
        y=alt.Y("low:Q", title=title, scale=scale), y2="high:Q"
    )
    line = base.mark_line(point=True, strokeWidth=2).encode(y=alt.Y("ndcg:Q", scale=scale))
    chart = alt.layer(band, line).properties(title="A taste that drifts", **SIZE)
    path.parent.mkdir(parents=True, exist_ok=True)
    styled = chart.configure(font=FONT, background="white")
    path.write_text(vl_convert.vegalite_to_svg(styled.to_dict()))


def _ends(periods: Sequence[Period]) -> list[tuple[Interval, Interval]]:
    first, last = periods[0], periods[-1]
    return [(last.frozen, first.frozen), (last.loop, first.loop)]


def _text(found: Interval) -> str:
    return f"{found.mean:.4f} [{found.low:.4f}, {found.high:.4f}]"


def _of_round(done: Done) -> str:
    return f"{done.outcome}, {done.seconds:.0f} s"
