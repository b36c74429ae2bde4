"""The simulation of a drifting taste: seeded, it drifts, and its figures are what was measured."""

from __future__ import annotations

from collections import Counter
from itertools import combinations
from pathlib import Path

import pytest

from model_export.evaluation.metrics import Interval
from tests.bench.loop.drawing import FROZEN, LOOP, Period, draw, rows_of, table
from tests.bench.loop.keeping import Done
from tests.bench.loop.taste import OF_A_STYLE, STYLES, Basket, Taste

Pair = tuple[int, ...]


def together(baskets: list[Basket]) -> Counter[Pair]:
    """How often products are bought with each other."""
    return Counter(pair for basket in baskets for pair in combinations(basket.products, 2))


def test_the_same_seed_is_the_same_market() -> None:
    """And another one is another; baskets come in the order of time, of products that there are."""
    once, again, other = (list(Taste(20, seed).period(4)) for seed in (1, 1, 2))
    assert once == again
    assert once != other
    assert len(once) == 80
    assert [basket.at for basket in once] == sorted(basket.at for basket in once)
    assert {product for basket in once for product in basket.products} <= set(
        range(STYLES * OF_A_STYLE)
    )


def test_what_goes_with_what_drifts() -> None:
    """After five periods the pairs of the first are bought seldom; without drift as often."""
    still, drifting = Taste(1_000, 1), Taste(1_000, 1)
    first = together(list(still.period(4)))
    assert first == together(list(drifting.period(4)))
    for _ in range(5):
        drifting.drift()
    as_ever, later = together(list(still.period(4))), together(list(drifting.period(4)))
    usual = {pair for pair, _ in first.most_common(50)}
    times, as_ever_times, later_times = (
        sum(found[pair] for pair in usual) for found in (first, as_ever, later)
    )
    assert as_ever_times > times / 2
    assert later_times < times / 5


def test_what_is_published(tmp_path: Path) -> None:
    """Both models of each period with their intervals, what the loop gained, what a round took."""

    def near(mean: float) -> Interval:
        return Interval(mean, mean - 0.01, mean + 0.01)

    periods = [
        Period(1, near(0.4), near(0.4), near(0.0), 100, Done("on trial", "", 20)),
        Period(2, near(0.3), near(0.38), near(0.08), 100, Done("refused", "", 30)),
    ]
    rows = {row.measure: row for row in rows_of(periods)}
    assert rows[f"period 2: {LOOP}"].value == 0.38
    assert rows["later periods: the loop above the frozen one"].value == 0.08
    gained = rows["the last period: the loop above the frozen one"]
    assert (gained.value, gained.spread) == (0.08, (0.07, 0.09))
    assert rows[f"{FROZEN}: NDCG@10 lost since period 1"].value == pytest.approx(25)
    assert rows["a round, with its trial"].value == 25
    assert table(periods).row_count == 2
    draw(tmp_path / "loop.svg", periods)
    drawn = (tmp_path / "loop.svg").read_text()
    assert drawn.startswith("<svg")
    assert FROZEN in drawn
