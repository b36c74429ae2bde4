"""Products as features: one function for training and serving."""

from __future__ import annotations

import math

import pytest

from services.shared.content_input import (
    FeatureVocabulary,
    ProductContent,
    feature_names,
    price_band,
    price_bounds,
)


def test_a_product_has_a_feature_for_each_thing_known_of_it() -> None:
    """Every category of its path, brand, merchant, and the band of its price."""
    content = ProductContent(("Home", " Mugs ", ""), "Acme", "m-7", 20.0)
    assert feature_names(content, (5.0, 10.0)) == [
        "category:Home",
        "category:Home > Mugs",
        "brand:Acme",
        "merchant:m-7",
        "price:2",
    ]


@pytest.mark.parametrize("price", [None, 0.0, -1.0, math.nan, math.inf])
def test_what_is_not_known_has_no_feature(price: float | None) -> None:
    """A price that is none is not the cheapest band."""
    assert feature_names(ProductContent(("",), " ", "", price), (5.0,)) == []


def test_bands_hold_as_many_products_each() -> None:
    """Of prices over four orders of magnitude; each bound is a price that occurs."""
    prices = [1.1**n for n in range(100)]
    bounds = price_bounds(prices, 4)
    bands = [price_band(price, bounds) for price in prices]
    assert set(bounds) <= set(prices)
    assert [bands.count(band) for band in range(4)] == [24, 25, 25, 26]


def test_fewer_bands_where_prices_are_alike() -> None:
    """And none where there is no price."""
    assert price_bounds([9.0] * 50 + [12.0], 10) == (9.0,)
    assert price_bounds([math.nan, 0.0], 10) == ()
    assert price_band(3.0, ()) == 0


def test_unseen_names_are_dropped() -> None:
    """A brand that training has not seen says nothing; a category of it still does."""
    known = FeatureVocabulary(["brand:Acme", "category:Home"])
    assert known.numbers(["category:Home", "brand:New"]) == [2]
    assert known.padded(["category:Home", "brand:Acme", "brand:Acme"], 2).tolist() == [2, 1]
    assert known.padded(["brand:New"], 2).tolist() == [0, 0]
    assert len(known) == 2
    with pytest.raises(ValueError, match="twice"):
        FeatureVocabulary(["a", "a"])
