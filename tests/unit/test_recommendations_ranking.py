"""Ranking is exact over the whole catalogue."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from services.recommendations.domain.ranking import HIDDEN, best, hide


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
