"""What the guide says of filters is so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from services.recommendations.domain.catalog import Listing
from services.recommendations.domain.filters.errors import BadExpression
from services.recommendations.domain.filters.expression import compile_expression
from services.recommendations.domain.filters.fields import FIELDS
from services.recommendations.domain.filters.language import TEXT_LIMIT
from services.recommendations.domain.filters.reading import DEPTH_LIMIT, NODE_LIMIT, PATTERN_LIMIT
from services.recommendations.domain.kept_masks import KEPT_BYTES, KEPT_PREDICATES
from services.recommendations.domain.shopper import LATELY, Shopper
from tests.filter_parts import DAY, NOW, Offered, catalog_of, priced, shown, shown_by_library

GUIDE = (Path(__file__).parents[2] / "docs/guides/filters.md").read_text()
EXAMPLES = re.findall(r"^\d+\. .*?```\n(.*?)```\n\s+(\w[\w, ]*)$", GUIDE, re.DOTALL | re.MULTILINE)
SHOPPER = Shopper(
    known=True,
    signed_in=True,
    purchases=4,
    brands=("Acme", "Lumo"),
    categories=("home > kitchen > mugs", "food > tea"),
    median_price=20.0,
    country="AT",
)


def rows(heading: str) -> list[list[str]]:
    """Those of all tables with this heading."""
    found = []
    for after in GUIDE.split(f"| {heading} |")[1:]:
        for line in after.split("\n\n")[0].splitlines()[2:]:
            cells = re.split(r"(?<!\\)\|", line)[1:-1]
            found.append([cell.strip() for cell in cells])
    return found


def shop() -> dict[str, Offered]:
    """The products of the guide's table."""
    products = {}
    for row in rows("id"):
        product_id, title, brand, path, merchant, price, attributes, age, available = row
        pairs = [pair.partition("=")[::2] for pair in attributes.split(", ") if pair]
        listing = Listing(
            title=title,
            category_path=tuple(path.split(", ") if path else ()),
            merchant_id=merchant,
            brand=brand,
            attributes=dict(pairs),
            listed_at=NOW - int(age) * DAY if age else None,
        )
        terms = priced(*price.split(), available=available == "yes") if price else None
        products[product_id.strip("`")] = Offered(listing, terms)
    return products


def test_the_guide_has_ten_examples() -> None:
    """Each with the products that it shows."""
    assert len(EXAMPLES) == 10


@pytest.mark.parametrize(("text", "products"), EXAMPLES, ids=range(1, len(EXAMPLES) + 1))
def test_an_example_shows_what_the_guide_says(text: str, products: str) -> None:
    """By our columns, and by CEL's own evaluator."""
    told = set(products.split(", "))
    assert shown(text, catalog_of(shop()), SHOPPER) == told
    assert shown_by_library(text, shop(), SHOPPER) == told


def test_every_field_is_told_with_its_type_and_no_other() -> None:
    """The two tables are the schema."""
    assert {name.strip("`"): kind for name, kind, _ in rows("field")} == dict(FIELDS)


def test_the_limits_are_those_of_the_code() -> None:
    """Each number that the guide tells."""
    assert [int(most.replace(",", "")) for _, most in rows("what | at most")] == [
        TEXT_LIMIT,
        NODE_LIMIT,
        DEPTH_LIMIT,
        PATTERN_LIMIT,
    ]
    assert f"the {KEPT_PREDICATES} such parts" in GUIDE
    assert f"at most {KEPT_BYTES // 2**20} MiB a shop" in GUIDE
    assert f"newest first, at most {LATELY} " in GUIDE


def test_the_refusals_that_are_shown_are_told_so() -> None:
    """Word by word."""
    told = GUIDE.splitlines()
    for text in ("product.pirce < 50", "product.price * 2 < 50"):
        with pytest.raises(BadExpression) as caught:
            compile_expression(text)
        assert str(caught.value) in told


def test_texts_beside_the_shopper_are_refused_as_the_guide_says() -> None:
    """Within one comparison, and only there."""
    with pytest.raises(BadExpression, match="for each product at each call"):
        compile_expression("product.title.contains(shopper.country)")
    compile_expression('shopper.known && product.title.contains("gift")')
