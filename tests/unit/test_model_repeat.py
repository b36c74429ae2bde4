"""What buying again and buying for the first time are worth, learned from small histories."""

from __future__ import annotations

import numpy as np
import pytest

from model_export.dataset import DAY, HELD_OUT, Prepared
from model_export.training import repeat
from model_export.training.first import first_purchases
from model_export.training.repeat import Learned, learn_repeat
from services.shared.model_input import VIEW
from services.shared.repeat import buckets
from tests.model_parts import Row, by_time, leave_one_out

SHOPPERS = 60
END: list[Row] = [("end", "x", 98), ("end", "y", 100)]
"""Somebody who fills the validation and the held-out part."""


def index_of(data: Prepared) -> np.ndarray:
    """Every item has a row."""
    return np.arange(1, len(data.ids.items) + 1)


def learned(rows: list[Row]) -> tuple[Prepared, Learned]:
    """What the days before the 97th teach."""
    data = by_time([*rows, *END])
    return data, learn_repeat([data], index_of(data), before=HELD_OUT, by_time=True)


def own(data: Prepared, found: Learned, item: str) -> float:
    return float(found.again[data.ids.items.index(item) + 1])


def score(found: Learned, count: int, days: float) -> float:
    """The table's part for what was bought so often, and so lately."""
    cell = buckets(np.array([count]), found.counts), buckets(np.array([days]), found.recency_days)
    return float(found.score[cell][0])


def test_what_comes_back_has_a_part_of_its_own() -> None:
    """Everybody buys bread again and nobody a lamp, both bought once and on the same day."""
    rows: list[Row] = []
    for number in range(SHOPPERS):
        rows += [(f"u{number}", "bread", 0), (f"u{number}", "lamp", 0), (f"u{number}", "bread", 9)]
    data, found = learned(rows)
    assert own(data, found, "bread") > own(data, found, "lamp") + 2
    assert found.repeats == SHOPPERS


def test_how_often_and_how_lately_is_learned() -> None:
    """Each shopper has products of their own, so only the table can tell: often and lately wins."""
    rows: list[Row] = []
    for number in range(SHOPPERS):
        user = f"u{number}"
        rows += [(user, f"{user} often", day) for day in (0, 10, 20, 30)]
        rows += [(user, f"{user} lately", 30), (user, f"{user} once", 0)]
        again = ("often", "often", "often", "lately")[number % 4]
        rows.append((user, f"{user} {again}", 37))
    _, found = learned(rows)
    assert score(found, 4, 7) > score(found, 1, 7) > score(found, 1, 37)
    assert score(found, 4, 7) - score(found, 1, 7) == pytest.approx(np.log(3), abs=0.4)


def test_without_repeats_nothing_is_learned() -> None:
    """As in reviews, where each product stands once; and the same where nobody came twice."""
    data = leave_one_out({"ana": "abcde", "ben": "bcdea"})
    found = learn_repeat([data], index_of(data), before=HELD_OUT, by_time=False)
    assert found.repeats == 0
    assert not found.score.any()
    assert not found.again.any()
    data, found = learned([("ana", "a", 1), ("ben", "b", 2)])
    assert (found.repeats, found.recency_days) == (0, ())


def test_only_purchases_with_a_row_teach() -> None:
    """A view is no repeat, nor is what the model does not know."""
    rows: list[Row] = [("ana", "a", 1), ("ana", "a", 2, VIEW), ("ana", "b", 3), ("ana", "b", 4)]
    data = by_time([*rows, *END])
    index = index_of(data)
    assert learn_repeat([data], index, before=HELD_OUT, by_time=True).repeats == 1
    index[data.ids.items.index("b")] = 0
    assert learn_repeat([data], index, before=HELD_OUT, by_time=True).repeats == 0


def test_the_newest_baskets_teach(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a split by time the newest so many; else as many out of all, whatever the shards."""
    monkeypatch.setattr(repeat, "MOST_BASKETS", 5)
    old: list[Row] = [("ana", "a", day) for day in range(30)]
    data = by_time([*old, *(("ben", f"b{day}", day) for day in range(40, 47)), *END])
    assert learn_repeat([data], index_of(data), before=HELD_OUT, by_time=True).repeats == 0
    assert learn_repeat([data], index_of(data), before=HELD_OUT, by_time=False).repeats == 5


def test_first_purchases_are_counted_by_baskets() -> None:
    """New products of one basket count one together; what was bought before, or viewed, nothing."""
    rows: list[Row] = [("ana", "a", 90), ("ana", "b", 90), ("ana", "a", 95), ("ana", "c", 95)]
    rows += [("ben", "a", 94), ("ben", "b", 94, VIEW), ("cat", "a", 1), ("cat", "a", 94)]
    data = by_time([*rows, *END])
    late = first_purchases([data], index_of(data), before=HELD_OUT, days=9)
    names = ["", *data.ids.items]
    assert dict(zip(names, late, strict=True)) == {
        "": 0,
        "a": 1.5,
        "b": 0.5,
        "c": 1,
        "x": 1,
        "y": 0,
    }
    ever = first_purchases([data], index_of(data), before=HELD_OUT, days=None)
    assert ever.tolist() == [0, 2.5, 0.5, 1, 1, 0]
    assert data.at.max() == 100 * DAY
