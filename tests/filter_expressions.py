"""Expressions of the whole subset, and catalogues and shoppers to ask, made by hypothesis."""

from __future__ import annotations

import json
import re
from typing import Any, Final

from hypothesis import strategies as st

from services.recommendations.domain.catalog import Listing, Price, Terms
from services.recommendations.domain.shopper import Shopper
from tests.filter_parts import DAY, LEARNED, MINUTE, NOW, Offered

DEPTH: Final = 4
TEXTS: Final = ("", "a", "b", "ab", "Ab", "é", "😀a", "aa", "a b", 'a"\\', "n1", "EUR")
QUOTED: Final = tuple(json.dumps(text, ensure_ascii=False) for text in TEXTS)
PATTERNS: Final = ("", "a", "^a", "a$", "^a.?$", "(?i)AB", "[^a]", "é|😀", r"\\bb", r"\\w+\\s")
NAMES: Final = ("colour", "size")
TEXT_FIELDS: Final = ("id", "title", "brand", "category", "merchant", "currency")
RELATIONS: Final = ("==", "!=", "<", "<=", ">", ">=")

LEAVES: Final = {
    "truth": (
        *("true", "false", "product.available", "product.has_price"),
        *("shopper.known", "shopper.signed_in", "product.brand in shopper.brands"),
        *("1 / 0 == 1", "1 / shopper.purchases == 1", "product.price < 5.0") * 2,
        *(f'product.attributes.{name} != "a"' for name in NAMES * 2),
        *(f"has(product.attributes.{name})" for name in NAMES),
        *(f'"{name}" in product.attributes' for name in NAMES),
    ),
    "int": (
        *("0", "1", "2", "3", "-1", "7", "9007199254740993", str(2**63 - 1), str(-(2**63))),
        *("size(product.categories)", "size(product.brand)", "product.title.size()") * 3,
        *("shopper.purchases", "shopper.brands.size()"),
    ),
    "double": (
        *("0.0", "1.0", "2.5", "-0.5", "3.99", "1e308", "9007199254740992.0"),
        *("product.price", "product.age_days") * 4,
        *("shopper.median_price", "shopper.days_since_seen"),
    ),
    "text": (
        *QUOTED,
        *(
            f"product.{name}"
            for name in ["id", "title", "brand", "category", "merchant", "currency"] * 3
        ),
        *(f"product.attributes.{name}" for name in NAMES * 3),
        *(f'product.attributes["{name}"]' for name in NAMES * 2),
        *("shopper.language", "shopper.country", "shopper.device"),
    ),
    "list": (
        *("product.categories",) * 3,
        *("shopper.brands", "shopper.categories", "[]"),
        *(f"[{', '.join(QUOTED[i : i + 3])}, shopper.country]" for i in range(0, 12, 3)),
    ),
}
MADE: Final = {
    "truth": (
        *("!(<truth>)", "((<truth>) ? (<truth>) : (<truth>))") * 4,
        *("(<truth>) && (<truth>)", "(<truth>) || (<truth>)") * 6,
        *("(<truth>) == (<truth>)", "(<truth>) != (<truth>)"),
        *(
            f"(<{left}>) {sign} (<{right}>)"
            for sign in RELATIONS
            for left, right in (
                *(("int", "int"), ("int", "double"), ("double", "int"), ("double", "double")),
                *(("text", "text"),) * 2,
            )
        ),
        *(f"<text>.{name}(<text>)" for name in ("startsWith", "endsWith", "contains") * 2),
        *(f'<text>.matches("{pattern}")' for pattern in PATTERNS),
        *("<text> in <list>",) * 5,
        *("(<int>) in [1, 2, 3]", "(<double>) in [0.5, 3.99]"),
        *("<list>.exists(<new>, <truth>)", "<list>.all(<new>, <truth>)") * 4,
    ),
    "int": (
        *(f"(<int>) {sign} (<int>)" for sign in "+-*/%"),
        *("-(<int>)", "size(<text>)", "(<truth> ? <int> : <int>)"),
    ),
    "double": (
        *(f"(<double>) {sign} (<double>)" for sign in "+-*/"),
        *("-(<double>)", "double(<int>)", "(<truth> ? <double> : <double>)"),
    ),
    "text": ("(<truth> ? <text> : <text>)",),
    "list": (),
}
HOLE: Final = re.compile(r"<(\w+)>")


@st.composite
def expressions(draw: Any) -> str:
    """A truth, of up to :data:`DEPTH` rules within each other."""
    return _written(draw, "truth", DEPTH, ())


def _written(draw: Any, kind: str, depth: int, variables: tuple[str, ...]) -> str:
    """By one rule of its kind, with what its holes ask for."""
    leaves = LEAVES[kind] + (variables * 4 if kind == "text" else ())
    rule = draw(st.sampled_from(MADE[kind] + leaves[::3] if depth else leaves))
    new = f"v{len(variables)}"
    inner = (*variables, new) if "<new>" in rule else variables

    def filled(hole: re.Match[str]) -> str:
        return new if hole[1] == "new" else _written(draw, hole[1], max(depth - 1, 0), inner)

    return HOLE.sub(filled, rule)


_TEXT: Final = st.sampled_from(TEXTS)
_PRICES: Final = st.sampled_from(
    (None, Price("EUR", 0, 0), Price("EUR", 3, 990_000_000), Price("USD", 10**9, 999_999_999))
)
_LISTINGS: Final = st.builds(
    Listing,
    title=_TEXT,
    category_path=st.lists(_TEXT, max_size=3).map(tuple),
    merchant_id=_TEXT,
    brand=_TEXT,
    attributes=st.dictionaries(st.sampled_from(NAMES), _TEXT),
    listed_at=st.sampled_from((None, NOW, NOW - DAY, NOW - 30 * DAY + 1, NOW + MINUTE)),
)
OFFERED: Final = st.builds(
    Offered,
    st.none() | _LISTINGS | _LISTINGS,
    st.none() | st.builds(Terms, price=_PRICES, available=st.booleans()),
)
PRODUCTS: Final = st.fixed_dictionaries(dict.fromkeys((*LEARNED, "n1", "n2"), OFFERED))
"""What a shop has sent, by product."""

_DOUBLES: Final = st.sampled_from((0.0, 0.5, 3.99, 1e9, float("inf")))
_TEXT_LISTS: Final = st.lists(_TEXT, max_size=4).map(tuple)
SHOPPERS: Final = st.builds(
    Shopper,
    known=st.booleans(),
    signed_in=st.booleans(),
    purchases=st.integers(0, 3),
    days_since_seen=_DOUBLES,
    language=_TEXT,
    country=_TEXT,
    device=_TEXT,
    brands=_TEXT_LISTS,
    categories=_TEXT_LISTS,
    median_price=_DOUBLES,
)
