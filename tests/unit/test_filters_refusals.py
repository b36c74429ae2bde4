"""What is no filter is refused before it meets a product, with the place and a sentence."""

from __future__ import annotations

import pytest

from services.recommendations.domain.filters.errors import BadExpression
from services.recommendations.domain.filters.expression import compile_expression

MISTAKES = [
    # what was written, line, column, what is said of it
    ("", 1, 1, "something is missing"),
    ("product.price <", 1, 16, "something is missing"),
    ("product.price < 10)", 1, 19, "')' cannot stand here"),
    ("product.brand == 'Acme", 1, 18, "token recognition error"),
    ("\ud800", 1, 1, "no character"),
    ("product.pirce < 10", 1, 8, "there is no 'product.pirce' here"),
    ("product.has_prize", 1, 8, "there is no 'product.has_prize' here"),
    ("product", 1, 1, "there is no 'product' here"),
    ("'日本' == product.brand && product.x", 1, 33, "there is no 'product.x' here"),
    ("product.brand == 'Acme' &&\n  product.titel == 'x'", 2, 10, "'product.titel'"),
    ("product.price < 'ten'", 1, 15, "'<' does not take (double, string)"),
    ("product.price * 2 < 10.0", 1, 15, "'*' does not take (double, int); write a double as 2.0"),
    ("product.price in [1]", 1, 15, "'in' does not take (double, list(int))"),
    ("product.price == null", 1, 15, "'==' does not take (double, null_type)"),
    ("product.brand + 'x' == 'y'", 1, 15, "'+' does not take (string, string)"),
    ("product.categories[0] == 'a'", 1, 19, "'[]' does not take (list(string), int)"),
    ("size(product.attributes) > 1", 1, 5, "'size' does not take (map(string, string))"),
    ("true ? 1 : 2.0", 1, 6, "'?:' does not take (bool, int, double)"),
    ("product.price", 1, 1, "must be true or false, and this is a double"),
    ("product.categories", 1, 1, "must be true or false, and this is a list(string)"),
    ("9223372036854775808 == 1", 1, 1, "invalid int literal"),
    ("timestamp('2026-01-01T00:00:00Z') < now", 1, 10, "there is no 'timestamp' here"),
    ("product.categories.map(c, c) == []", 1, 23, "there is no 'map' here"),
    ("product.brand.lower() == 'acme'", 1, 20, "there is no 'lower' here"),
    ("product.attributes == product.attributes", 1, 20, "'==' does not take (map"),
    ("product.attributes.exists(k, k == 'a')", 1, 8, "is asked for one name"),
    ("product.attributes[product.brand] == 'x'", 1, 27, "a text between quotes"),
    ("product.brand in product.attributes", 1, 8, "a text between quotes"),
    ("has(product.available)", 1, 4, "has() asks for names in product.attributes only"),
    ("{'a': 1}.a == 1", 1, 9, "only product.attributes is asked for names"),
    ("1 in {1: 2}", 1, 1, "a text between quotes"),
    ("[{1: 2}].exists(x, true)", 1, 2, "maps and messages cannot be written here"),
    ("[null].exists(x, true)", 1, 2, "only true, false, numbers and texts"),
    ("product.brand in ['a', 1]", 1, 18, "the items of a list are of one type"),
    ("product.brand in [product.merchant]", 1, 26, "literals and fields of the shopper"),
    ("[shopper.brands].exists(b, 'a' in b)", 1, 9, "literals and fields of the shopper"),
    ("product.categories.exists(c, c == product.brand)", 1, 42, "cannot ask the product"),
    ("(true ? product.categories : shopper.brands).all(c, true)", 1, 7, "single values"),
    ("product.brand.matches('(')", 1, 23, "this is no pattern: missing ): ("),
    (r"product.brand.matches('(a)\\1')", 1, 23, "this is no pattern: invalid escape"),
    ("product.brand.matches('((\\\\pL{99}){9}){9}')", 1, 23, "this is no pattern: "),
    ("product.brand.matches(product.title)", 1, 30, "a text between quotes"),
    (f"product.brand.matches('{'a' * 201}')", 1, 23, "at most 200 characters"),
    (f"true || product.brand == '{'a' * 1975}'", 1, 2001, "at most 2,000 characters"),
    (" || ".join(["product.price == 1.0"] * 67), 1, 1194, "at most 200 operations"),
    (f"1.0 <{' -(' * 20}product.price{')' * 20}", 1, 64, "at most 20 operations deep"),
    (f"{'(' * 40}true{')' * 40}", 1, 1, "nested too deeply"),
    ("product.title.contains(shopper.country)", 1, 8, "for each product at each call"),
    ("shopper.known && size(product.title) > shopper.purchases", 1, 22, "at each call"),
    ("product.brand == product.merchant == shopper.known", 1, 8, "at each call"),
    ("size(product.brand) + size(product.id) > shopper.purchases", 1, 21, "at each call"),
]


@pytest.mark.parametrize(("text", "line", "column", "sentence"), MISTAKES)
def test_a_mistake_is_told_with_its_place(text: str, line: int, column: int, sentence: str) -> None:
    """Line and column, both from 1, and what is wrong there."""
    with pytest.raises(BadExpression) as caught:
        compile_expression(text)
    assert (caught.value.line, caught.value.column, str(caught.value)) == (
        line,
        column,
        f"line {line}, column {column}: {str(caught.value).partition(': ')[2]}",
    )
    assert sentence in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    "text",
    [
        f"true || product.brand == '{'a' * 1_973}'",
        " || ".join(["product.price == 1.0"] * 50),
        f"1.0 <{' -(' * 17}product.price{')' * 17}",
        f"product.brand.matches('{'a' * 200}')",
    ],
    ids=["characters", "operations", "depth", "pattern"],
)
def test_what_is_just_within_the_limits_is_taken(text: str) -> None:
    """The limits are those that are told."""
    compile_expression(text)


def test_a_refusal_is_the_callers_mistake() -> None:
    """It has a code of its own and the status INVALID_ARGUMENT."""
    with pytest.raises(BadExpression) as caught:
        compile_expression("1 +")
    assert caught.value.code == "EXPRESSION_INVALID"
    assert caught.value.grpc_status.name == "INVALID_ARGUMENT"
    assert not caught.value.retriable
