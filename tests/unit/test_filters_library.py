"""Filters on columns say what CEL's own evaluator says of each product."""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import assume, given, settings

from services.recommendations.domain.filters.errors import BadExpression
from services.recommendations.domain.shopper import Shopper
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


def test_zero_characters_are_characters() -> None:
    """Also at a text's end. The library's evaluator is given texts only up to the first one."""
    catalog = catalog_of({"a": Offered(listing("a\0")), "b": Offered(listing("a"))})
    assert shown('product.title == "a\\u0000"', catalog) == {"a"}
    assert shown('size(product.title) == 2 && product.title.endsWith("\\u0000")', catalog) == {"a"}
    assert shown('(product.id == "a" ? "a\\u0000" : "a") == product.title', catalog) == {"a", "b"}
    assert shown('product.title in ["a"]', catalog) == {"b"}
