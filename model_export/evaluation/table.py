"""An evaluation as a table of text."""

from __future__ import annotations

from model_export.evaluation.evaluate import Evaluation
from model_export.evaluation.metrics import Interval


def table(found: Evaluation) -> str:
    """Lines of at most 92 characters; figures with their 95 % intervals, as they came out."""
    days = found.popularity_days
    window = f"of {days} days" if days else "of all time"
    lines = [
        f"{found.data}, split {found.split}: {found.cases:,} baskets of {found.users:,} users, "
        f"{found.cases_new:,} with new products",
        f"over a catalogue of {found.catalogue_size:,} products; popularity {window}",
        "",
        f"{'purchases':<10}{'method':<17}{'hit rate@10':<25}{'NDCG@10':<25}",
    ]
    for purchases in ("all", "new"):
        lines.extend(
            f"{purchases:<10}{row.method:<17}{_figure(row.hit_rate):<25}{_figure(row.ndcg)}"
            for row in found.rows
            if row.purchases == purchases
        )
    return "\n".join(lines)


def _figure(figure: Interval) -> str:
    return f"{figure.mean:.4f} [{figure.low:.4f}, {figure.high:.4f}]"
