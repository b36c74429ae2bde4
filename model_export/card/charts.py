"""The card's drawings: Altair says what is shown, vl-convert makes SVG of it, without a browser.

The same figures give the same bytes: no clock, no random id, no font but the one that
vl-convert measures with.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import altair as alt
import vl_convert

from model_export.evaluation.evaluate import Evaluation, Row
from model_export.evaluation.learning_curve import LearningCurve
from model_export.training.checkpoint import Epoch

COLORS: Final = {
    "model": "#1857c4",
    "item-kNN": "#d9822b",
    "household's own": "#5f8f3e",
    "popularity": "#8a93a3",
}
"""Of each method, in the order of the legend; told apart by lightness, too."""
QUESTIONS: Final = {"all": "all purchases", "new": "new purchases"}
WIDTH: Final = 680
FONT: Final = "Arial, Helvetica, Liberation Sans, sans-serif"
PADDING: Final = {"left": 30, "right": 16, "top": 8, "bottom": 8}
"""Room for labels where a reader's font is wider than the one that measured them."""
Drawn = alt.LayerChart | alt.FacetChart | alt.VConcatChart

INTERVAL: Final = "NDCG@10, with 95 % intervals"


def training_svg(curve: Sequence[Epoch], best: int) -> str:
    """Loss and validation NDCG by epoch, one above the other; the ``best`` one is marked."""
    values = [{"epoch": each.number, "loss": each.loss, "ndcg": each.ndcg} for each in curve]
    ticks = list(range(1, len(curve) + 1, -(-len(curve) // 10)))
    epoch = alt.X("epoch:Q", title="epoch", axis=alt.Axis(values=ticks, format="d", grid=False))
    base = _chart(values)
    mark = _chart([{"epoch": best, "label": f"best: epoch {best}"}])
    rule = mark.mark_rule(color="#b3261e", strokeDash=[4, 3]).encode(x="epoch:Q")
    label = mark.mark_text(
        align="right" if best > len(curve) / 2 else "left",
        dx=-6 if best > len(curve) / 2 else 6,
        color="#b3261e",
        baseline="bottom",
    ).encode(x="epoch:Q", y=alt.value(164), text="label:N")

    def panel(name: str, title: str, color: str) -> Drawn:
        axis = alt.Y(f"{name}:Q", title=title, scale=alt.Scale(zero=False, nice=True))
        line = base.mark_line(color=color, point=alt.OverlayMarkDef(size=28, color=color))
        return alt.layer(line.encode(x=epoch, y=axis), rule, *([label] * (name == "ndcg")))

    return _svg(
        alt.vconcat(
            panel("ndcg", "validation NDCG@10", COLORS["model"]).properties(
                width=WIDTH, height=170
            ),
            panel("loss", "training loss", COLORS["popularity"]).properties(
                width=WIDTH, height=110
            ),
        )
    )


def methods_svg(evaluation: Evaluation) -> str:
    """Each method's NDCG on all and on new purchases."""
    values = [_value(row, QUESTIONS[row.purchases]) for row in evaluation.rows]
    return _dots(values, list(QUESTIONS.values()))


def segments_svg(evaluation: Evaluation) -> str:
    """Each method's NDCG in each segment."""
    parts = evaluation.segments
    values = [_value(row, part.name) for part in parts for row in part.rows]
    return _dots(values, [part.name for part in parts])


def learning_svg(curve: LearningCurve) -> str:
    """NDCG by the share of the users that was learned from."""
    values = [
        {
            "share": 100 * point.share,
            "ndcg": row.ndcg.mean,
            "low": row.ndcg.low,
            "high": row.ndcg.high,
            "question": QUESTIONS[row.purchases],
        }
        for point in curve.points
        for row in point.rows
    ]
    shares = sorted({100 * point.share for point in curve.points})
    share = alt.X(
        "share:Q",
        title="users learned from, %",
        axis=alt.Axis(values=shares, grid=False),
        scale=alt.Scale(domain=[0, 104], nice=False),
    )
    color = alt.Color(
        "question:N",
        title=None,
        scale=alt.Scale(
            domain=list(QUESTIONS.values()), range=[COLORS["model"], COLORS["item-kNN"]]
        ),
        legend=alt.Legend(orient="top", columnPadding=28)
        if len({v["question"] for v in values}) > 1
        else None,
    )
    base = _chart(values).encode(x=share, color=color)
    ndcg = alt.Y("ndcg:Q", title=INTERVAL, scale=alt.Scale(zero=False, nice=True))
    low = alt.Y("low:Q", title=INTERVAL)
    drawn = alt.layer(
        base.mark_line(strokeWidth=2).encode(y=ndcg),
        base.mark_rule(strokeWidth=1.5).encode(y=low, y2="high:Q"),
        base.mark_point(filled=True, size=60, opacity=1).encode(y=ndcg),
    )
    return _svg(drawn.properties(width=WIDTH, height=240))


def _value(row: Row, question: str) -> dict[str, Any]:
    return {
        "question": question,
        "method": row.method,
        "ndcg": row.ndcg.mean,
        "low": row.ndcg.low,
        "high": row.ndcg.high,
    }


def _dots(values: Sequence[Mapping[str, Any]], questions: Sequence[str]) -> str:
    """A point with its interval for each method, in bands of questions."""
    there = {value["method"] for value in values}
    methods = [method for method in COLORS if method in there]
    asked = [question for question in questions if any(v["question"] == question for v in values)]
    color = alt.Color(
        "method:N",
        title=None,
        scale=alt.Scale(domain=methods, range=[COLORS[method] for method in methods]),
        legend=alt.Legend(orient="top", symbolSize=90, columnPadding=28),
    )
    base = _chart(values).encode(
        y=alt.Y(
            "question:N",
            title=None,
            sort=asked,
            scale=alt.Scale(paddingInner=0.25),
            axis=alt.Axis(labelLimit=220, ticks=False, domain=False),
        ),
        yOffset=alt.YOffset("method:N", sort=methods, scale=alt.Scale(paddingOuter=0.6)),
        color=color,
    )
    ndcg = alt.X(
        "ndcg:Q",
        title=INTERVAL,
        axis=alt.Axis(tickCount=8),
        scale=alt.Scale(domainMin=0, nice=True),
    )
    drawn = alt.layer(
        base.mark_rule(strokeWidth=2.5).encode(x=alt.X("low:Q", title=INTERVAL), x2="high:Q"),
        base.mark_point(filled=True, size=70, opacity=1).encode(x=ndcg),
    )
    return _svg(drawn.properties(width=WIDTH - 90, height=74 * len(asked)))


def _chart(values: Sequence[Mapping[str, Any]]) -> alt.Chart:
    data = alt.Data(values=list(values))  # type: ignore[no-untyped-call]  # Altair leaves it untyped
    return alt.Chart(data)


def _svg(chart: Drawn) -> str:
    styled = chart.configure(
        font=FONT,
        background="white",
        padding=PADDING,
        view=alt.ViewConfig(stroke=None),
        axis=alt.AxisConfig(
            labelFontSize=12,
            titleFontSize=12,
            titleFontWeight="normal",
            titlePadding=10,
            labelFlush=False,
            labelColor="#414b5f",
            titleColor="#414b5f",
            gridColor="#e6e9ef",
            domainColor="#b6bdc9",
            tickColor="#b6bdc9",
        ),
        legend=alt.LegendConfig(labelFontSize=12, labelColor="#1d2433"),
    )
    svg: str = vl_convert.vegalite_to_svg(styled.to_dict())
    return svg
