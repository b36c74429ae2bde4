"""What the shadow would have answered, as a page that stands alone: no script, nothing fetched."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Final

from services.recommendations.domain.comparison import Figures

STYLE: Final = """\
body { margin: 2rem auto; max-width: 64rem; padding: 0 1rem; color: #1d2433;
  font: 16px/1.5 system-ui, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; }
h1 { font-size: 1.5rem; overflow-wrap: anywhere; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .7rem; border-bottom: 1px solid #dfe3ea; text-align: right; }
th:first-child, td:first-child { text-align: left; }
.wide { overflow-x: auto; }
p { max-width: 46rem; }"""

HEADS: Final = (
    "scenario",
    "answers",
    "overlap@10",
    "rank correlation",
    "score agreement",
    "other fallbacks",
    "failed",
    "served p50 / p99, ms",
    "shadow p50 / p99, ms",
)

NOTHING: Final = "none"
"""Where there was nothing to compare."""

READING: Final = (
    "Overlap is the share of the first ten products that stand in both lists. The rank correlation "
    "(Spearman's) and the agreement of scores (Pearson's correlation) are over the products that "
    "both lists have; 1 is full agreement, 0 none. Only lists that both made personal count there.",
    "Other fallbacks are answers that only one of the two made personal. If they are many, one of "
    "the bundles knows fewer of the shop's products.",
    "A low overlap is neither good nor bad: whether the new lists are better is told by the gate's "
    "report before, and by a canary or an experiment after.",
)


def rows(scenarios: Mapping[str, Figures]) -> list[tuple[str, ...]]:
    """The table's cells, a row for each scenario."""
    return [
        (
            name,
            f"{each.answers:,}",
            _share(each.overlap_at_10),
            _number(each.rank_correlation),
            _number(each.score_agreement),
            _share(each.differing_fallbacks),
            f"{each.failed:,}",
            f"{each.served_p50_ms:.2f} / {each.served_p99_ms:.2f}",
            f"{each.shadow_p50_ms:.2f} / {each.shadow_p99_ms:.2f}",
        )
        for name, each in scenarios.items()
    ]


def page(shop_id: str, served: str, shadow: str, scenarios: Mapping[str, Figures]) -> str:
    """The comparison of two bundles, by scenario, as HTML."""
    title = f"{shop_id}: {shadow} in the shadow of {served}"
    head = "".join(f"<th>{escape(cell)}</th>" for cell in HEADS)
    body = "\n".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>"
        for row in rows(scenarios)
    )
    reading = "\n".join(f"<p>{escape(text)}</p>" for text in READING)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>\n{STYLE}\n</style>\n</head>\n<body>\n"
        f'<h1>{escape(title)}</h1>\n<div class="wide"><table>\n<tr>{head}</tr>\n{body}\n'
        f"</table></div>\n{reading}\n</body>\n</html>\n"
    )


def _share(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.1%}"


def _number(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.2f}"
