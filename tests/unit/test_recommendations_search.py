"""Searches lift what their words match, at once, and fade."""

from __future__ import annotations

import pytest

from services.recommendations.domain.search_terms import (
    HALF_LIFE,
    MICROSECONDS_A_MINUTE,
    SearchBonus,
    search_bonus,
)
from services.recommendations.domain.words import words_of
from services.shared.profile import Search
from tests.recommendation_parts import catalog_of, listing

NOW = 1_800_000_000_000_000
CATALOG = catalog_of(
    {
        "milk": listing("Fluid milk 1 gal", "grocery", "milk"),
        "oat": listing("Oat milk", "grocery", "plant drinks"),
        "mug": listing("Milk mug", "home"),
    },
    {"new": listing("Bananas", "produce")},
)


def search(query: str, *, hours_ago: float = 0.0) -> Search:
    """A search of that age."""
    at = NOW - round(hours_ago * 60) * MICROSECONDS_A_MINUTE
    return Search(at, at, 0, query)


def bonus_of(*searches: Search, now: int = NOW) -> SearchBonus | None:
    """The bonus of all rows for searches, oldest first."""
    return search_bonus(searches, CATALOG.index, rows=CATALOG.rows, listed=CATALOG.listed, now=now)


def lifted(*searches: Search) -> dict[str, float]:
    """Product → bonus, where there is one."""
    bonus = bonus_of(*searches)
    if bonus is None:
        return {}
    rows = bonus.values.nonzero()[0].tolist()
    return {CATALOG.product_id(row): bonus.of(row)[0] for row in rows}


def test_words_match_whatever_their_case_or_number() -> None:
    """Case, plural and punctuation do not keep a word from its products."""
    assert lifted(search("banana!")) == lifted(search("BANANAS")) == {"new": 1.0}
    assert words_of("Glass MUGS, 牛奶; glass") == ["glass", "mug", "牛", "奶"]


def test_a_full_match_is_worth_one_and_a_part_less() -> None:
    """The bonus is the share of the query's meaning, and rare words mean more."""
    found = lifted(search("oat milk"))
    assert found["oat"] == pytest.approx(1.0)
    assert 0 < found["milk"] < 0.5
    assert found["milk"] == found["mug"]


def test_words_the_catalogue_lacks_do_not_count() -> None:
    """A word that no product has neither matches nor lessens the others."""
    assert lifted(search("zweibel oat"))["oat"] == pytest.approx(1.0)
    assert lifted(search("zweibel")) == {}
    assert lifted(search("!!!")) == {}


def test_a_search_fades_by_half_each_half_life() -> None:
    """An older search lifts less, and after a day nothing at all."""
    assert lifted(search("oat", hours_ago=HALF_LIFE))["oat"] == pytest.approx(0.5)
    assert lifted(search("oat", hours_ago=2 * HALF_LIFE))["oat"] == pytest.approx(0.25)
    assert lifted(search("oat", hours_ago=30)) == {}


def test_a_moment_later_a_search_is_worth_the_same() -> None:
    """The same call twice within a minute has the same scores."""
    made = search("oat", hours_ago=1)
    values = [
        bonus.values.tolist()
        for moment in (0, 1, MICROSECONDS_A_MINUTE - 1, MICROSECONDS_A_MINUTE)
        if (bonus := bonus_of(made, now=NOW + moment))
    ]
    assert NOW % MICROSECONDS_A_MINUTE == 0
    assert values[0] == values[1] == values[2] != values[3]


def test_a_search_from_the_future_is_one_made_now() -> None:
    """A clock that runs ahead gains nothing."""
    assert lifted(search("oat", hours_ago=-5)) == {"oat": 1.0}


def test_many_searches_lift_no_more_than_the_best_of_them() -> None:
    """The best search counts, so repeating a search changes nothing, and it is named."""
    once = bonus_of(search("oat"))
    often = bonus_of(*(search("oat", hours_ago=h) for h in (4, 3, 2, 1)), search("oat"))
    assert once is not None
    assert often is not None
    assert (once.values == often.values).all()
    assert often.of(CATALOG.row("oat") or 0) == (1.0, search("oat"))


def test_only_the_newest_searches_count() -> None:
    """The sixth newest search is not looked at."""
    later = [search("banana", hours_ago=h) for h in (0.5, 0.4, 0.3, 0.2, 0.1)]
    assert set(lifted(search("oat", hours_ago=1), *later)) == {"new"}
