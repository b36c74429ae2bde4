"""Filters on columns say what CEL's own evaluator says of each product."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product

import pytest
from hypothesis import assume, given, settings

from services.recommendations.domain.catalog import Terms
from services.recommendations.domain.filters.errors import BadExpression
from services.recommendations.domain.shopper import STRANGER, Shopper
from tests.filter_expressions import PRODUCTS, SHOPPERS, expressions
from tests.filter_parts import Offered, catalog_of, shown, shown_by_library
from tests.recommendation_parts import listing


@settings(max_examples=400)
@given(expressions(), PRODUCTS, SHOPPERS)
def test_columns_and_the_library_agree(
    text: str, products: Mapping[str, Offered], shopper: Shopper
) -> None:
    """Whatever is asked of whatever catalogue, the same products are shown, errors included."""
    catalog = catalog_of(products)
    for asked in (text, f"!({text})"):  # an error is in neither, so it is told from false
        try:
            by_columns = shown(asked, catalog, shopper)
        except BadExpression as refusal:
            assume("for each product at each call" not in str(refusal))
            assume("cannot ask the product" not in str(refusal))
            raise
        assert by_columns == shown_by_library(asked, products, shopper), asked


TRUTHS = (
    "true",
    "false",
    "1 / shopper.purchases == 1",
    "product.available",
    'product.attributes.colour == "red"',
    "product.price < 1.0",
)
WRAPPED = (
    "{}",
    "!({})",
    "({}) == true",
    "(({}) ? product.available : 1 / 0 == 1)",
    "(({}) ? false : true)",
    "!(({}) ? true : false)",
    "({}) || !product.available",
    "({}) && product.available",
    "[1, 2].exists(x, x == 1 && ({}))",
    "(({}) ? 1.0 : 2.0) < (product.available ? 1.5 : 0.5)",
)


@pytest.mark.parametrize("word", ["&&", "||"])
def test_errors_go_through_logic_as_the_library_says(word: str) -> None:
    """Of true, false and errors, for a call or by product, on either side, in anything."""
    red, blue = (listing("Mug")._replace(attributes={"colour": each}) for each in ("red", "blue"))
    products = {
        f"{colour}{available}": Offered(each, Terms(None, available))
        for colour, each in (("red", red), ("blue", blue), ("none", listing("Mug")))
        for available in (True, False)
    }
    catalog = catalog_of(products)
    for left, right in product(TRUTHS, repeat=2):
        for wrapped in WRAPPED:
            text = wrapped.format(f"({left}) {word} ({right})")
            assert shown(text, catalog) == shown_by_library(text, products, STRANGER), text


@pytest.mark.parametrize(
    "text",
    [
        '!(1 / 0 == 1 ? "a" : "b").matches("a")',
        'product.available ? (1 / 0 == 1 ? "a" : "b").startsWith("a") : true',
        '(product.available ? (1 / 0 == 1 ? "a" : "b") : "a").startsWith("a")',
        "(product.available ? (1 / 0 == 1 ? 1 : 2) : 3) + 1 == 4",
        "!((product.available ? (1 / 0 == 1 ? 1.0 : 2.0) : 3.0) in [3.0])",
    ],
)
def test_what_was_chosen_by_an_error_is_an_error(text: str) -> None:
    """Whatever its type is, and also where it is chosen for some products only."""
    products = {
        "a": Offered(listing("Mug"), Terms(None, available=True)),
        "b": Offered(listing("Mug"), Terms(None, available=False)),
    }
    found = shown(text, catalog_of(products))
    assert found == shown_by_library(text, products, STRANGER)
    assert "a" not in found


def test_zero_characters_are_characters() -> None:
    """Also at a text's end. The library's evaluator is given texts only up to the first one."""
    catalog = catalog_of({"a": Offered(listing("a\0")), "b": Offered(listing("a"))})
    assert shown('product.title == "a\\u0000"', catalog) == {"a"}
    assert shown('size(product.title) == 2 && product.title.endsWith("\\u0000")', catalog) == {"a"}
    assert shown('(product.id == "a" ? "a\\u0000" : "a") == product.title', catalog) == {"a", "b"}
    assert shown('product.title in ["a"]', catalog) == {"b"}
