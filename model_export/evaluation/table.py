"""An evaluation as a table of text."""

from __future__ import annotations

from typing import Final

from model_export.evaluation.evaluate import Evaluation, Row
from model_export.evaluation.learning_curve import LearningCurve
from model_export.evaluation.metrics import Interval

HEAD: Final = f"{'method':<17}{'hit rate@10':<25}{'recall@10':<25}NDCG@10"


def table(found: Evaluation) -> str:
    """Lines of at most 100 characters; figures with their 95 % intervals, as they came out."""
    days = found.popularity_days
    window = f"of {days} days" if days else "of all time"
    lines = [
        f"{found.data}, split {found.split}: {found.cases:,} baskets of {found.users:,} users, "
        f"{found.cases_new:,} with new products",
        f"over a catalogue of {found.catalogue_size:,} products; popularity {window}",
    ]
    for purchases in ("all", "new"):
        rows = [row for row in found.rows if row.purchases == purchases]
        if rows:
            lines += ["", f"{purchases} purchases", HEAD, *map(_line, rows)]
    for part in found.segments:
        title = f"{part.name}: {part.cases:,} baskets of {part.users:,} users"
        lines += ["", title, HEAD, *map(_line, part.rows)]
    if found.too_small:
        lines += ["", f"too few users for figures: {', '.join(found.too_small)}"]
    return "\n".join(lines)


def learning_table(curve: LearningCurve) -> str:
    """A line for each share of the users and each question."""
    lines = [
        f"{curve.data}: the same {curve.cases:,} baskets of {curve.users:,} users, foretold "
        "by models of a share of the users",
        "",
        f"{'share':<7}{'users':>10}{'interactions':>14}  {'purchases':<11}{'recall@10':<25}NDCG@10",
    ]
    for point in curve.points:
        learned = f"{point.share:<7.0%}{point.users:>10,}{point.interactions:>14,}"
        lines += [
            f"{learned}  {row.purchases:<11}{_figure(row.recall):<25}{_figure(row.ndcg)}"
            for row in point.rows
        ]
    return "\n".join(lines)


def _line(row: Row) -> str:
    figures = (row.hit_rate, row.recall, row.ndcg)
    return f"{row.method:<17}" + "".join(f"{_figure(each):<25}" for each in figures).rstrip()


def _figure(figure: Interval) -> str:
    return f"{figure.mean:.4f} [{figure.low:.4f}, {figure.high:.4f}]"
