"""Ranking is exact over the whole catalogue."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.recommendations.domain.catalog import NO_CATEGORY
from services.recommendations.domain.ranking import HIDDEN, Ranked, best, hide
from services.recommendations.domain.rerank import cap, diverse


def name(row: int) -> str:
    """A product id whose order is not that of the rows."""
    return f"{row * 7919 % 10_007:05d}"


def naive(scores: np.ndarray, count: int) -> list[int]:
    """Sort everything."""
    shown = [row for row in range(len(scores)) if scores[row] > HIDDEN]
    return sorted(shown, key=lambda row: (-scores[row], name(row)))[:count]


@given(
    st.integers(0, 2**32 - 1),
    st.integers(0, 3_000),
    st.integers(1, 120),
    st.sampled_from([1, 3, 50, 100_000]),
    st.floats(0, 1),
)
def test_best_is_what_sorting_everything_gives(
    seed: int, rows: int, count: int, values: int, hidden: float
) -> None:
    """For any scores, with any ties and any hidden rows, best equals a full sort."""
    random = np.random.default_rng(seed)
    scores = random.integers(0, values, rows).astype(np.float32)
    scores[random.random(rows) < hidden] = HIDDEN
    assert [each.row for each in best(scores, count, name)] == naive(scores, count)


def test_best_of_a_whole_catalogue() -> None:
    """At 92,331 products, the 50 best are those of a full sort, with their scores."""
    scores = np.random.default_rng(0).normal(size=92_331).astype(np.float32)
    ranked = best(scores, 50, name)
    assert [each.row for each in ranked] == naive(scores, 50)
    assert all(each.score == scores[each.row] for each in ranked)


def test_equal_scores_go_by_product_id() -> None:
    """Ties are broken by product id, also at the cut."""
    assert [each.row for each in best(np.ones(9_000, np.float32), 3, name)] == naive(
        np.ones(9_000), 3
    )


def test_hidden_rows_never_come_up() -> None:
    """What is not available or excluded is not in the list, even if the list stays short."""
    scores = np.array([5, 4, 3, 2], np.float32)
    hide(scores, available=np.array([False, True, True, True]), excluded=[2])
    assert [each.row for each in best(scores, 10, name)] == [1, 3]


def test_no_category_fills_a_list() -> None:
    """At most the cap of one category is taken while others are there."""
    pool = [Ranked(row, 100.0 - row) for row in range(30)]
    chosen = diverse(pool, limit=10, category_of=lambda row: 1 if row < 20 else 2)
    assert [each.row for each in chosen] == [0, 1, 2, 3, 20, 21, 22, 23, 4, 5]
    assert cap(10) == 4


def test_products_without_a_category_are_not_held_back() -> None:
    """Having no category is not a category."""
    pool = [Ranked(row, 100.0 - row) for row in range(30)]
    chosen = diverse(pool, limit=10, category_of=lambda _row: NO_CATEGORY)
    assert chosen == pool[:10]


@given(
    st.lists(st.integers(0, 4), max_size=60),
    st.integers(1, 20),
)
def test_a_varied_list_keeps_its_promises(categories: list[int], limit: int) -> None:
    """As long as the pool allows, no repeats, scores never rise, and the best comes first."""
    pool = [Ranked(row, float(-row)) for row in range(len(categories))]
    chosen = diverse(pool, limit=limit, category_of=lambda row: categories[row])
    rows = [each.row for each in chosen]
    assert len(rows) == len(set(rows)) == min(limit, len(pool))
    assert all(a.score >= b.score for a, b in itertools.pairwise(chosen))
    assert rows[:1] == [0][: len(pool)]


@pytest.mark.parametrize("limit", [1, 2, 100])
def test_a_list_of_any_length_allows_one_of_a_category(limit: int) -> None:
    """Even a list of one shows the best product."""
    assert 1 <= cap(limit) <= limit
