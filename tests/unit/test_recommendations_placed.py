"""A product that the model has not learned is placed by what it is, and scored as others are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.recommendations.domain.catalog import Catalog
from services.recommendations.domain.learned import Learned, Model
from services.recommendations.domain.listing import Price, Terms
from services.recommendations.domain.placed import AT_ONCE, Placed
from services.recommendations.domain.ranking import HIDDEN
from services.shared.content_input import ProductContent
from services.shared.item_vectors import Floats, FullVectors
from tests.recommendation_parts import catalog_of, listing

QUERY = np.array([1, 2], np.float32)
LEARNED = Learned(FullVectors(np.array([[0, 0], [3, 4]], np.float32)), np.zeros(2, np.int32))


class ByTitle:
    """Places a product at the numbers that its title says."""

    def __init__(self) -> None:
        self.asked: list[ProductContent] = []

    def place(self, contents: Sequence[ProductContent], titles: Sequence[str]) -> Floats:
        self.asked += contents
        return np.array([[float(n) for n in title.split()] for title in titles], np.float32)


class Blind:
    """A model that learns nothing of what products are."""

    def place(self, contents: Sequence[ProductContent], titles: Sequence[str]) -> None: ...


def shop(*titles: str) -> Catalog:
    """One product that the model has learned, and new ones of these titles."""
    new = {f"n{place}": listing(title, "home") for place, title in enumerate(titles)}
    return catalog_of({"old": listing("Old")}, new)


def scores(placed: Placed, catalog: Catalog) -> list[float]:
    """Of the rows behind the learned ones."""
    total = np.full(catalog.rows, HIDDEN)
    placed.scores(QUERY, total)
    found: list[float] = total[catalog.vector_rows :].tolist()
    return found


def refreshed(placed: Placed, placer: ByTitle | Blind) -> int:
    """Place what changed; how many slices it took."""
    return len(list(placed.refresh(cast("Model", placer))))


def test_a_new_product_has_the_score_of_its_place() -> None:
    """Query times vector, as for those that the model has learned."""
    catalog = shop("1 0", "0.5 0.5")
    placed = Placed(catalog, LEARNED)
    refreshed(placed, ByTitle())
    assert scores(placed, catalog) == [1.0, 1.5]
    assert placed.count == 2


def test_directions_of_learned_and_placed_products_at_once() -> None:
    """At length 1; zeros where nothing is known."""
    catalog = shop("2 0")
    placed = Placed(catalog, LEARNED)
    rows = np.array([1, 2], np.intp)
    assert placed.directions(rows).tolist() == pytest.approx(np.array([[0.6, 0.8], [0, 0]]))
    refreshed(placed, ByTitle())
    assert placed.directions(rows).tolist() == pytest.approx(np.array([[0.6, 0.8], [1, 0]]))


def test_likeness_does_not_ask_for_length() -> None:
    """The cosine with a direction, whatever the length of the vector."""
    catalog = shop("10 0", "0 0")
    placed = Placed(catalog, LEARNED)
    refreshed(placed, ByTitle())
    total = np.full(catalog.rows, HIDDEN)
    placed.likeness(np.array([0.6, 0.8], np.float32), total)
    assert total.tolist() == pytest.approx([HIDDEN, HIDDEN, 0.6, 0.0])


def test_a_product_is_placed_by_what_the_shop_says_of_it() -> None:
    """Category, merchant and price go in."""
    catalog = shop("1 1")
    catalog.put_offer("n0", Terms(Price("EUR", 12, 500_000_000), available=True))
    placer = ByTitle()
    refreshed(Placed(catalog, LEARNED), placer)
    assert placer.asked == [ProductContent(("home",), "", "acme", 12.5)]


def test_only_what_has_changed_is_placed_again() -> None:
    """A change of a learned product moves nothing; of a new one, it alone."""
    catalog = shop("1 0", "0 1")
    placed, placer = Placed(catalog, LEARNED), ByTitle()
    refreshed(placed, placer)
    catalog.put_product("old", listing("Older"))
    catalog.put_product("n1", listing("3 0", "home"))
    refreshed(placed, placer)
    assert len(placer.asked) == 3
    assert scores(placed, catalog) == [1.0, 3.0]


def test_a_product_that_is_gone_has_no_place() -> None:
    """Nor has one that takes its row, until it is placed itself."""
    catalog = shop("1 0")
    placed = Placed(catalog, LEARNED)
    refreshed(placed, ByTitle())
    catalog.remove_product("n0")
    refreshed(placed, ByTitle())
    catalog.put_product("other", listing("5 5"))
    assert scores(placed, catalog) == [HIDDEN]


def test_without_a_tower_nothing_is_placed() -> None:
    """New products then come by their words, or as popular ones."""
    catalog = shop("1 0")
    placed = Placed(catalog, LEARNED)
    refreshed(placed, Blind())
    assert scores(placed, catalog) == [HIDDEN]
    assert placed.count == 0


def test_many_are_placed_in_slices() -> None:
    """Calls have their turn between them."""
    catalog = shop(*["1 0"] * (AT_ONCE + 1))
    assert refreshed(Placed(catalog, LEARNED), ByTitle()) == 2


@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from(["1 0", "0 1", "2 2", ""]))))
def test_after_any_changes_the_places_are_those_of_a_fresh_look(
    changes: list[tuple[int, str]],
) -> None:
    """Listed, changed, removed and listed again, in any order, refreshed in between."""
    catalog = shop("1 0")
    placed = Placed(catalog, LEARNED)
    for number, title in changes:
        if title:
            catalog.put_product(f"n{number}", listing(title))
        else:
            catalog.remove_product(f"n{number}")
        if number % 2:
            refreshed(placed, ByTitle())
    refreshed(placed, ByTitle())
    fresh = Placed(catalog, LEARNED)
    refreshed(fresh, ByTitle())
    assert scores(placed, catalog) == scores(fresh, catalog)
