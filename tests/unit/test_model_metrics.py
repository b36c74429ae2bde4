"""Hit rate, NDCG and their intervals, held to their definitions."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_export.evaluation.metrics import TOP, best, hit_rate, interval, ndcg

items = st.lists(st.integers(0, 30), unique=True, min_size=1, max_size=15)


@given(ranked=items, relevant=items)
def test_ndcg_is_its_definition(ranked: list[int], relevant: list[int]) -> None:
    """Gains discounted by log2(rank + 1), over those of the best list there could be."""
    gains = [1 / math.log2(rank + 1) for rank, i in enumerate(ranked[:10], 1) if i in relevant]
    most = sum(1 / math.log2(rank + 1) for rank in range(1, min(10, len(relevant)) + 1))
    found = ndcg(np.array(ranked), np.array(relevant))
    assert found == pytest.approx(sum(gains) / most)
    assert hit_rate(np.array(ranked), np.array(relevant)) == float(bool(gains))


def test_the_eleventh_does_not_count() -> None:
    """Ten are shown; a hit below them is none."""
    ranked = np.arange(11)
    assert hit_rate(ranked, np.array([10])) == 0
    assert ndcg(ranked, np.array([10])) == 0


@given(st.lists(st.integers(-3, 3), min_size=1, max_size=40))
def test_best_is_a_stable_sort(scores: list[int]) -> None:
    """The ten greatest, ties by place, as sorting everything would have them."""
    array = np.array(scores, dtype=np.float64)
    array[array == -3] = -np.inf
    expected = sorted(range(len(scores)), key=lambda i: (-array[i], i))[:TOP]
    assert best(array).tolist() == [i for i in expected if np.isfinite(array[i])]


def test_interval_covers_the_mean_and_narrows_with_users() -> None:
    """More users, a narrower interval; the seed makes it the same each time."""
    random = np.random.default_rng(1)

    def width(users: int) -> float:
        values = random.random(users)
        found = interval(values, np.arange(users), seed=1)
        assert found == interval(values, np.arange(users), seed=1)
        assert found.low < found.mean < found.high
        return found.high - found.low

    assert width(10_000) < width(100) / 5


def test_baskets_of_one_user_are_not_independent() -> None:
    """A hundred baskets that two users repeat say less than a hundred users'."""
    values = np.repeat([0.0, 1.0], 50)
    by_user = interval(values, np.repeat([0, 1], 50), seed=1)
    by_basket = interval(values, np.arange(100), seed=1)
    assert by_user.high - by_user.low > 3 * (by_basket.high - by_basket.low)
