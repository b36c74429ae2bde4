"""What a list has of one kind at most."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from services.recommendations.domain.scenario import (
    Pin,
    Variety,
)
from tests.storefront import (
    Storefront,
    ids,
    large_shop,
    model_of,
)

PLAIN = Variety(strength=0.0, category=1.0)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Storefront:
    return large_shop(tmp_path_factory.mktemp("large") / "bundle")


@pytest.mark.parametrize("kind", ["category", "brand", "merchant"])
async def test_no_kind_has_more_than_its_share(large: Storefront, kind: str) -> None:
    """Of the whole list, as long as there is anything else."""
    large.scenario(
        sources=("personal",), variety=Variety(strength=0.0, **{"category": 1.0, kind: 0.2})
    )
    products = large.catalog.products
    codes = {
        "category": products.paths.codes,
        "brand": products.brands.codes,
        "merchant": products.merchants.codes,
    }[kind]
    found = [large.catalog.row(each) or 0 for each in ids((await large.recommend()).products)]
    counted = Counter(codes[found].tolist())
    assert max(counted.values()) == 2
    large.scenario(sources=("personal",), variety=PLAIN)
    free = [large.catalog.row(each) or 0 for each in ids((await large.recommend()).products)]
    assert max(Counter(codes[free].tolist()).values()) > 2


async def test_caps_count_pins_and_what_other_sources_brought(tmp_path: Path) -> None:
    """A share is one of the whole list, not of what a source adds to it."""
    names = [f"{maker}{place}" for maker in "ab" for place in range(6)]
    shop = Storefront(
        model_of(tmp_path / "bundle", dict.fromkeys(names, (1.0, 0.0)), dict.fromkeys(names, 1))
    )
    for name in names:
        shop.offer(name, merchant=name[0])
    shop.trends.leaders = [("a3", 3.0), ("a4", 2.0)]
    shop.scenario(
        sources=("trending", "popular"),
        variety=Variety(strength=0.0, merchant=0.5),
        pins=(Pin(product="a5", place=1),),
    )
    answer = await shop.recommend("nobody", limit=6)
    assert ids(answer.products) == ["a5", "a3", "a4", "b0", "b1", "b2"]
