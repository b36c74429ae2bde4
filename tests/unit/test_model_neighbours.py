"""Item-kNN as a sparse matrix, held to its definition with sets."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pytest

from model_export.dataset import HELD_OUT, Prepared, vocabulary_index
from model_export.training import neighbours
from model_export.training.neighbours import learn_neighbours
from services.shared.model_input import IMPRESSION, PURCHASE, VIEW
from services.shared.neighbours import Neighbours
from tests.model_parts import Row, by_time, leave_one_out

HISTORIES = {
    "ana": "abcabczz",
    "ben": "abdabdzz",
    "cat": "bcdeefzz",
    "dan": "fghfghzz",
    "eve": "aghbhhzz",
}


def learned(data: Prepared, known: str, **told: float) -> dict[str, dict[str, float]]:
    """Each product of the vocabulary ``known``, and how much which are like it."""
    codes = np.array([data.ids.items.index(letter) for letter in known])
    index = vocabulary_index(data.ids, codes)[: len(data.ids.items)]
    near = learn_neighbours([data], index, before=HELD_OUT, **told)  # type: ignore[arg-type]  # most
    assert len(near.starts) == len(known) + 2
    assert near.starts[1] == 0  # padding is like nothing
    return {one: _row(near, row, known) for row, one in enumerate(known, start=1)}


def _row(near: Neighbours, row: int, known: str) -> dict[str, float]:
    items, likes = near.scores(np.array([row]), np.ones(1, np.float32))
    assert np.all(np.diff(items) > 0)
    return {known[item - 1]: float(like) for item, like in zip(items, likes, strict=True)}


def expected(
    known: str, shrink: float, histories: Mapping[str, str] = HISTORIES
) -> dict[str, dict[str, float]]:
    """The cosine of sets of users, by the definition."""
    owners = {
        one: {user for user, items in histories.items() if one in items[:-1]} for one in known
    }
    found: dict[str, dict[str, float]] = {one: {} for one in known}
    for one in known:
        for other in known:
            if one != other and (shared := len(owners[one] & owners[other])):
                size = math.sqrt(len(owners[one]) * len(owners[other])) + shrink
                found[one][other] = shared / size
    return found


@pytest.mark.parametrize("block", [1, 7, 10_000])
def test_likeness_is_its_definition(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Among the products of a vocabulary, in its order; in blocks of any size."""
    monkeypatch.setattr(neighbours, "BLOCK", block)
    found = learned(leave_one_out(HISTORIES), "hfedbaz", shrink=0.5)
    assert found == {one: pytest.approx(row) for one, row in expected("hfedbaz", 0.5).items()}


def test_each_product_keeps_those_most_like_it() -> None:
    """Of equals the one with the lower row."""
    whole = expected("zabcdefgh", 20.0)
    found = learned(leave_one_out(HISTORIES), "zabcdefgh", most=2)
    for one, row in whole.items():
        order = sorted(row, key=lambda other: (-row[other], "zabcdefgh".index(other)))
        assert list(found[one]) == sorted(order[:2], key="zabcdefgh".index)


def test_only_what_was_turned_to_counts() -> None:
    """A view makes likeness; what was shown and not clicked, and what came later, does not."""
    rows: list[Row] = [("ana", "a", 0, VIEW), ("ana", "b", 1), ("ana", "c", 2, IMPRESSION)]
    rows += [("ben", "b", 3, PURCHASE), ("cat", "d", 7), ("ben", "d", 9)]
    found = learned(by_time(rows), "abcd", shrink=0.0)
    assert found == {"a": {"b": pytest.approx(1 / math.sqrt(2))}, "b": found["b"], "c": {}, "d": {}}
    assert set(found["b"]) == {"a"}


def test_too_many_pairs_are_those_of_fewer_shoppers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every third shopper, where there are up to three times as many pairs as fit."""
    monkeypatch.setattr(neighbours, "MOST_PAIRS", 12)
    found = learned(leave_one_out(HISTORIES), "abfgz", shrink=0.0)
    some = {user: HISTORIES[user] for user in ("ana", "dan")}
    assert found == {one: pytest.approx(row) for one, row in expected("abfgz", 0, some).items()}


def test_nobody_is_like_anybody_in_no_history() -> None:
    """A vocabulary of products that nobody turned to has empty rows."""
    data = by_time([("ana", "a", 0), ("ana", "a", 7), ("ana", "b", 9), ("ben", "c", 9)])
    assert learned(data, "bc") == {"b": {}, "c": {}}
