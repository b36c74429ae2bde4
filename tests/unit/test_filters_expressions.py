"""Compiled expressions: what they say of themselves, and how long they are kept."""

from __future__ import annotations

import pytest

from services.recommendations.domain.filters.errors import BadExpression
from services.recommendations.domain.filters.expression import Expressions, compile_expression
from services.recommendations.domain.shopper import STRANGER, Shopper
from tests.filter_parts import NOW, Offered, catalog_of, priced, shown
from tests.recommendation_parts import listing


@pytest.mark.parametrize(
    ("text", "asks"),
    [
        ("product.price < 10", False),
        ("true", False),
        ("product.price < shopper.median_price", True),
        ("product.available && (product.brand in shopper.brands || product.has_price)", True),
    ],
)
def test_an_expression_says_whether_the_shopper_matters(text: str, *, asks: bool) -> None:
    """So that a profile is only looked through where it does."""
    assert compile_expression(text).asks_shopper == asks


def test_the_expressions_used_last_are_kept_compiled() -> None:
    """So many and no more; what is refused is told each time."""
    expressions = Expressions(limit=2)
    first = expressions.of("product.price < 1")
    second = expressions.of("product.price < 2")
    assert expressions.of("product.price < 1") is first
    expressions.of("product.price < 3")
    assert expressions.of("product.price < 1") is first
    assert expressions.of("product.price < 2") is not second
    for _ in range(2):
        with pytest.raises(BadExpression):
            expressions.of("product.price <")


def test_one_expression_serves_any_catalogue() -> None:
    """Nothing of one is kept for another."""
    cheap = compile_expression("product.price < 10")
    one = catalog_of({"a": Offered(listing("Mug"), priced("5"))})
    other = catalog_of({"a": Offered(listing("Mug"), priced("50"))})
    for _ in range(2):
        assert cheap.mask(one, STRANGER, NOW).sum() == 1
        assert cheap.mask(other, STRANGER, NOW).sum() == 0


def test_rows_without_a_product_are_in_no_mask() -> None:
    """Not where only an offer is known, nor after a removal, whoever asks and whatever is asked."""
    catalog = catalog_of({"a": Offered(listing("Mug")), "b": Offered(None, priced("5"))})
    catalog.put_product("c", listing("Cup"))
    catalog.remove_product("c")
    for text in (
        "true",
        "product.brand == ''",
        "shopper.known",
        "shopper.known ? product.brand == '' : true",
        "shopper.known || product.title != 'x'",
    ):
        assert shown(text, catalog, Shopper(known=True)) == {"a"}
