"""Which baskets are in which segment, and the figures that every question gets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model_export.dataset import HELD_OUT, Prepared
from model_export.evaluation.cases import Case, Ranking, cases_of
from model_export.evaluation.evaluate import evaluate
from model_export.evaluation.figures import figures
from model_export.evaluation.metrics import DRAWS, drawn_means, hit_rate, ndcg, recall
from model_export.evaluation.segments import FEW, Question, head, segments, whole
from services.shared.model_input import VIEW
from tests.model_parts import Row, by_time, leave_one_out, rounds

numbers = st.lists(st.integers(0, 30), unique=True, min_size=1, max_size=14)


def grouped(data: Prepared, groups: Sequence[str | None]) -> Prepared:
    """The same with demographic groups of its users."""
    return replace(data, ids=replace(data.ids, groups=list(groups)))


def named(data: Prepared, *, large: int = 1) -> dict[str, Question]:
    """The segments by name."""
    found, _ = segments(data, cases_of(data, HELD_OUT), large=large)
    return {each.name: each for each in found}


def test_a_shopper_is_new_until_the_tenth_interaction() -> None:
    """Interactions of every kind before the basket count, also those of held-out days."""
    rows: list[Row] = [("ana", "mug", day, VIEW) for day in range(FEW - 1)]
    rows += [
        ("ana", "mug", FEW),
        ("ana", "pen", FEW + 1),
        ("ben", "mug", 1),
        ("ben", "pen", FEW - 1),
    ]
    found = named(by_time(rows))
    assert found["new shoppers"].users == 1
    assert len(found["new shoppers"].places) == 1
    assert len(found["known shoppers"].places) == 1


def test_the_head_is_the_fewest_products_that_take_half() -> None:
    """Of 10 training interactions the first takes 4 and the second 3: both are needed."""
    rows: list[Row] = [("u", item, day) for day, item in enumerate("aaaabbbcde")]
    data = by_time([*rows, ("u", "a", 11), ("u", "e", 12), ("u", "x", 14)])
    letters = np.array(data.ids.items)
    assert letters[head(data)].tolist() == ["a", "b"]


def test_of_a_mixed_basket_each_kind_counts_by_itself() -> None:
    """A basket of a head and a tail product is a case of both, with one product each."""
    rows: list[Row] = [("u", item, day) for day, item in enumerate("aaaabbbcdee")]
    found = named(by_time([*rows, ("v", "z", 12), ("u", "a", 14), ("u", "d", 14)]))
    parts = {name: found[f"{name} products"].relevant for name in ("head", "tail")}
    assert [[each.tolist() for each in part] for part in parts.values()] == [[[0]], [[3]]]


def test_groups_are_segments_where_they_are_known() -> None:
    """One segment for each group; who is in none is in no such segment."""
    data = by_time(rounds(users=6))
    assert not any(name.startswith("group") for name in named(data))
    found = named(grouped(data, ["old", "old", None, "young", None, None]))
    groups = {name: each.users for name, each in found.items() if name.startswith("group")}
    assert groups == {"group old": 2, "group young": 1}


def test_segments_are_asked_of_new_purchases_where_nothing_is_bought_again() -> None:
    """One basket with something old, and they are asked of all."""
    histories = {"ana": "abcdx", "ben": "bcdey", "cat": "cdefz"}
    assert all(each.is_new for each in named(leave_one_out(histories)).values())
    again = leave_one_out({**histories, "dan": "abcda"})
    assert not any(each.is_new for each in named(again).values())


def test_small_segments_have_a_name_and_no_figures() -> None:
    """Below the least size a figure would say more about chance than about the model."""
    data = grouped(by_time(rounds(users=30)), ["few"] * 3 + ["many"] * 27)
    found = evaluate(data, large=10)
    assert "group many" in [part.name for part in found.segments]
    assert found.too_small == ["group few"]
    part = next(part for part in found.segments if part.name == "group many")
    assert (part.cases, part.users) == (54, 27)
    assert [row.method for row in part.rows] == ["popularity", "item-kNN", "household's own"]


@settings(max_examples=50, deadline=None)
@given(cases=st.lists(st.tuples(numbers, numbers), min_size=1, max_size=5))
def test_figures_of_many_cases_are_those_of_each(cases: list[tuple[list[int], list[int]]]) -> None:
    """All at once as one by one, by the definitions."""
    relevant = [np.array(sorted(wanted), np.int32) for _, wanted in cases]
    rankings = [Ranking(np.array(ranked), np.array(ranked)) for ranked, _ in cases]
    question = Question("some", np.arange(len(cases)), relevant, 1)
    expected = [
        [measure(ranking.every, each) for measure in (hit_rate, recall, ndcg)]
        for ranking, each in zip(rankings, relevant, strict=True)
    ]
    assert figures(question, rankings) == pytest.approx(np.array(expected))


def test_new_purchases_are_asked_of_the_rankings_without_the_old() -> None:
    """Where nothing is new there is no such question."""
    old, new = np.array([1], np.int32), np.array([2], np.int32)
    both = Case(0, slice(0, 1), old, np.array([1, 2], np.int32), new)
    questions = whole([both, both._replace(relevant=old, new=new[:0])])
    assert [(each.name, len(each.places)) for each in questions] == [
        ("all purchases", 2),
        ("new purchases", 1),
    ]
    rankings = [Ranking(every=old, new=new)] * 2
    assert figures(questions[0], rankings)[:, 1].tolist() == [0.5, 1.0]
    assert figures(questions[1], rankings)[:, 1].tolist() == [1.0]
    assert [each.name for each in whole([both._replace(new=new[:0])])] == ["all purchases"]


def test_draws_in_chunks_are_the_same_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """How many are held in memory decides nothing."""
    random = np.random.default_rng(1)
    sums, counts = random.random((50, 2)), np.ones((50, 2))
    at_once = drawn_means(sums, counts, seed=1)
    monkeypatch.setattr("model_export.evaluation.metrics.AT_ONCE", 50 * 7)
    assert drawn_means(sums, counts, seed=1) == pytest.approx(at_once, abs=1e-12)
    assert at_once.shape == (DRAWS, 2)
