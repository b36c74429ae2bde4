"""What the model is compared with, each held to a slow and obvious computation."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from itertools import combinations

import numpy as np
import pytest

from model_export.dataset import HELD_OUT, VALIDATION, Prepared
from model_export.evaluation.baselines import Frequency, ItemKNN, Popularity, Ranker, purchases
from model_export.evaluation.cases import cases_of
from model_export.evaluation.evaluate import best_window, evaluate
from services.shared.model_input import VIEW
from tests.model_parts import Row, by_time, leave_one_out, rounds

HISTORIES = {
    "ana": "abcabczz",
    "ben": "abdabdzz",
    "cat": "bcdeefzz",
    "dan": "fghfghzz",
    "eve": "aghbhhzz",
}


def named(data: Prepared, ranker: Ranker) -> list[tuple[str, str]]:
    """The rankings over everything and over the new, in letters."""
    letters = np.array(data.ids.items)
    rankings = ranker.rank(cases_of(data, HELD_OUT))
    return [("".join(letters[each.every]), "".join(letters[each.new])) for each in rankings]


def test_popularity_is_the_same_for_all_but_for_what_is_new() -> None:
    """Counts before the cut, ties by id; what the user had bought is not new."""
    data = leave_one_out(HISTORIES)
    counts = Counter("".join(history[:-2] for history in HISTORIES.values()))
    order = sorted(data.ids.items, key=lambda item: (-counts[item], item))
    found = named(data, Popularity(data, before=VALIDATION, days=None))
    assert [every for every, _ in found] == ["".join(order)] * 5
    bought = [set(history[:-1]) for history in HISTORIES.values()]
    assert [new for _, new in found] == [
        "".join(item for item in order if item not in mine) for mine in bought
    ]


def test_popularity_of_some_days_counts_those_days() -> None:
    """What was bought before them is forgotten, and a view is no purchase."""
    rows: list[Row] = [("ana", "old", day) for day in range(5)]
    rows += [("ana", "new", 6), ("ana", "seen", 6, VIEW), ("ana", "new", 7), ("ana", "x", 9)]
    data = by_time(rows)
    counts = dict(zip(data.ids.items, purchases(data, before=HELD_OUT, days=2), strict=True))
    assert counts == {"new": 2, "old": 0, "seen": 0, "x": 0}


def test_frequency_is_what_this_household_buys_most() -> None:
    """Its own counts first, then popular products; nothing new is in a history."""
    data = leave_one_out({"ana": "bababcza", "ben": "xxyyxxyy"})
    popularity = Popularity(data, before=HELD_OUT, days=None)
    (every, new), _ = named(data, Frequency(data, popularity))
    assert every == "baczxy"  # the last two are not its own but popular
    assert set(new) == {"x", "y"}


def slow_knn(
    data: Prepared, histories: dict[str, str], user: str, shrink: float
) -> dict[str, float]:
    """Scores of all items for one user, by the definition and with sets."""
    owners: dict[str, set[str]] = {item: set() for item in data.ids.items}
    for name, items in histories.items():
        for item in items[:-1]:  # all but what is held out
            owners[item].add(name)
    like: dict[tuple[str, str], float] = {}
    for one, other in combinations(data.ids.items, 2):
        shared = len(owners[one] & owners[other])
        size = math.sqrt(len(owners[one]) * len(owners[other])) + shrink
        like[one, other] = like[other, one] = shared / size
    scores: defaultdict[str, float] = defaultdict(float)
    for item in histories[user][:-1]:
        scores[item] += 1.0
        for other in data.ids.items:
            scores[other] += like.get((item, other), 0.0)
    return scores


@pytest.mark.parametrize("shrink", [0.5, 20.0])
def test_item_knn_is_its_definition(shrink: float) -> None:
    """The cosine of sets of users, summed over the history, ties by id."""
    data = leave_one_out(HISTORIES)
    popularity = Popularity(data, before=HELD_OUT, days=None)
    found = named(data, ItemKNN(data, popularity, before=HELD_OUT, shrink=shrink))
    for (every, _), user in zip(found, data.ids.users, strict=True):
        scores = slow_knn(data, HISTORIES, user, shrink)
        positive = [item for item in data.ids.items if scores[item] > 0]
        expected = sorted(positive, key=lambda item: (-round(scores[item], 9), item))[:10]
        assert [round(scores[item], 9) for item in every[: len(expected)]] == [
            round(scores[item], 9) for item in expected
        ]


def test_item_knn_fills_a_short_list_with_popular_products() -> None:
    """Ten products come back where there are ten, each once."""
    data = leave_one_out({**HISTORIES, "fay": "0123456789" * 2})
    popularity = Popularity(data, before=HELD_OUT, days=None)
    for every, new in named(data, ItemKNN(data, popularity, before=HELD_OUT, most=1)):
        assert len(every) == 10
        assert len(set(every)) == 10
        assert len(set(new)) == len(new)


def test_new_purchases_are_ranked_without_the_old() -> None:
    """No ranking of the new holds what the user had bought."""
    data = leave_one_out(HISTORIES)
    popularity = Popularity(data, before=HELD_OUT, days=None)
    for ranker in (popularity, ItemKNN(data, popularity, before=HELD_OUT)):
        for (_, new), items in zip(named(data, ranker), HISTORIES.values(), strict=True):
            assert not set(new) & set(items[:-1])


def test_the_window_of_popularity_is_chosen_on_the_validation_part() -> None:
    """A craze of the last week foretells the validation week best; the held-out days say else."""
    rows: list[Row] = [(f"u{n}", f"old{n}", day) for n in range(12) for day in range(0, 60, 3)]
    rows += [(f"u{n}", "craze", day) for n in range(12) for day in range(54, 66)]
    rows += [(f"u{n}", f"old{n}", day) for n in range(12) for day in range(66, 70)]
    assert best_window(by_time(rows, holdout_days=4, validation_days=6)) == 7


def test_evaluation_has_a_row_for_each_method_and_question() -> None:
    """Without a bundle the baselines stand alone; in a round nothing is new."""
    found = evaluate(by_time(rounds()))
    assert [(row.method, row.purchases) for row in found.rows] == [
        ("popularity", "all"),
        ("item-kNN", "all"),
        ("household's own", "all"),
    ]
    assert (found.cases, found.cases_new, found.users) == (120, 0, 60)
