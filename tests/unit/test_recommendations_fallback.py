"""Something always comes back, says how it was made, and is available."""

from __future__ import annotations

import numpy as np
import pytest

from services.recommendations.domain.answer import Answer, Cause, Source, fallback, filled
from services.recommendations.domain.catalog import Catalog, Terms
from services.recommendations.domain.reasons import Kind
from services.recommendations.domain.similar import similar
from services.recommendations.domain.trending import HALF_LIFE, LENGTH, add_hour, leaders, weight
from services.shared.model_input import Vocabulary
from tests.recommendation_parts import catalog_of, items_of, listing

POPULARITY = np.array([0, 5, 9, 0], dtype=np.int32)
GONE = Terms(None, available=False)


def shop() -> Catalog:
    """Three learned products, popular b > a > c, and two new ones."""
    return catalog_of(
        {
            "a": listing("A", "home", "mugs"),
            "b": listing("B", "home", "pots"),
            "c": listing("C", "garden"),
        },
        {"x": listing("X", "home", "mugs"), "y": listing("Y")},
    )


def ids(catalog: Catalog, answer: Answer) -> list[str]:
    """The products of an answer."""
    return [catalog.product_id(pick.row) for pick in answer.picks]


@pytest.mark.parametrize("cause", list(Cause))
def test_trending_products_come_first_and_popular_ones_fill_up(cause: Cause) -> None:
    """A short trending list is filled with popular products; the source is trending."""
    catalog = shop()
    trending = (("x", 7.0), ("gone", 5.0), ("a", 3.0))
    answer = fallback(cause, catalog, trending, POPULARITY, excluded=(), limit=4)
    assert ids(catalog, answer) == ["x", "a", "b", "c"]
    assert (answer.source, answer.cause) == (Source.TRENDING, cause)
    kinds = [pick.reason.kind for pick in answer.picks]
    assert kinds == [Kind.TRENDING] * 2 + [Kind.POPULAR] * 2
    scores = [pick.score for pick in answer.picks]
    assert scores == sorted(scores, reverse=True)


def test_popular_products_where_nothing_trends() -> None:
    """Without trends the most bought come first, never bought ones last by product id."""
    catalog = shop()
    answer = fallback(Cause.UNKNOWN_SHOPPER, catalog, (), POPULARITY, excluded=(), limit=10)
    assert ids(catalog, answer) == ["b", "a", "c", "x", "y"]
    assert answer.source is Source.POPULAR
    sentences = [pick.reason.sentence for pick in answer.picks]
    assert sentences[:2] == ["Bought by many"] * 2
    assert sentences[2:] == ["From the shop's catalogue"] * 3


def test_fallbacks_hide_what_is_unavailable_or_excluded() -> None:
    """Sold out and excluded products are in no list, trending or popular."""
    catalog = shop()
    catalog.put_offer("x", GONE)
    catalog.put_offer("b", GONE)
    excluded = {catalog.row("a") or 0}
    trending = (("x", 7.0), ("a", 3.0), ("c", 1.0))
    answer = fallback(
        Cause.EMPTY_PROFILE, catalog, trending, POPULARITY, excluded=excluded, limit=9
    )
    assert ids(catalog, answer) == ["c", "y"]


def test_an_empty_catalogue_gives_an_empty_list() -> None:
    """A shop without products is answered with none; that is no error."""
    catalog = Catalog(Vocabulary(["a", "b", "c"]))
    answer = fallback(
        Cause.UNKNOWN_SHOPPER, catalog, (("a", 1.0),), POPULARITY, excluded=(), limit=5
    )
    assert list(answer.picks) == []


def test_a_full_list_is_not_filled() -> None:
    """Filling up adds nothing to a list that is long enough."""
    catalog = shop()
    full = fallback(Cause.EMPTY_PROFILE, catalog, (), POPULARITY, excluded=(), limit=2).picks
    assert filled(list(full), catalog, POPULARITY, excluded=(), limit=2) == full


def test_a_count_is_worth_half_after_each_half_life() -> None:
    """Decay is applied when reading; a bucket from the future counts as this hour's."""
    assert weight(0) == weight(-3) == 1.0
    assert weight(HALF_LIFE) == 0.5
    scores: dict[str, float] = {}
    add_hour(scores, {"a": 4, "b": 1}, age=HALF_LIFE)
    add_hour(scores, {"b": 1}, age=0)
    assert scores == {"a": 2.0, "b": 1.5}


def test_leaders_are_bounded_and_ordered() -> None:
    """The best come first, ties by product id, and no more than the bound."""
    scores = {f"p{number:04d}": float(number // 2) for number in range(2 * LENGTH)}
    found = leaders(scores)
    assert len(found) == LENGTH
    assert [product for product, _ in found[:4]] == ["p0998", "p0999", "p0996", "p0997"]


def test_similar_products_go_by_the_model() -> None:
    """A learned product is compared by its vector; itself and hidden ones are left out."""
    catalog = shop()
    items = items_of([(1, 0), (3, 1), (0, 1)])
    answer = similar(1, items, catalog, limit=5)
    assert ids(catalog, answer) == ["b", "c"]
    assert answer.source is Source.SIMILAR
    assert answer.picks[0].score == pytest.approx(3 / 10**0.5)
    assert answer.picks[0].reason[:3] == (Kind.SIMILAR, "Like A", "a")


def test_products_like_a_new_one_go_by_category_then_popularity() -> None:
    """Where the model has not learned a product, the narrowest shared category comes first."""
    catalog = shop()
    items = items_of([(1, 0), (3, 1), (0, 1)], popularity=[5, 9, 0])
    answer = similar(catalog.row("x") or 0, items, catalog, limit=5)
    assert ids(catalog, answer) == ["a", "b"]
    assert answer.source is Source.POPULAR


def test_products_like_one_without_vector_and_category_are_the_popular_ones() -> None:
    """With nothing to go by, the most bought come, and do not claim a likeness."""
    catalog = shop()
    items = items_of([(1, 0), (3, 1), (0, 1)], popularity=[5, 9, 0])
    answer = similar(catalog.row("y") or 0, items, catalog, limit=2)
    assert ids(catalog, answer) == ["b", "a"]
    assert {pick.reason.kind for pick in answer.picks} == {Kind.POPULAR}
