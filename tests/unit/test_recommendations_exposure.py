"""Merchants who are shown too little are lifted, and no more than that."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from services.recommendations.domain.catalog import Catalog, Listing, Terms
from services.recommendations.domain.exposure import (
    HOUR,
    MERCHANTS,
    PRIOR,
    Shares,
    Shown,
    lifting,
)
from services.recommendations.domain.ranking import Ranked
from services.recommendations.domain.scenario import (
    Exposure,
    Scenario,
    Scenarios,
    Variety,
)
from services.shared.model_input import Vocabulary
from tests.exposing import Market
from tests.storefront import SHOP, Storefront, ids, model_of

DAY = 24 * HOUR


@pytest.fixture(scope="module")
def market() -> Market:
    return Market(600, seed=1)


def test_small_merchants_come_nearer_to_their_share_as_strength_rises(market: Market) -> None:
    """And never beyond it, for a loss of NDCG that grows with the strength."""
    found = [market.run(strength, 400, seed=2) for strength in (0.0, 0.1, 0.25, 0.5, 1.0)]
    shares = [each.exposure for each in found]
    assert shares == sorted(shares)
    assert shares[0] < market.share / 5
    assert shares[3] > market.share / 3
    assert shares[-1] <= market.share
    losses = [1 - each.ndcg for each in found]
    assert losses == sorted(losses)
    assert losses[0] == 0
    assert losses[1] < 0.01
    assert found[3].never < found[0].never


def test_the_same_calls_are_answered_the_same(market: Market) -> None:
    """Given its account, the rule has no luck in it."""
    assert market.run(0.3, 100, seed=3) == market.run(0.3, 100, seed=3)


def test_need_falls_from_one_to_nothing_at_the_share() -> None:
    """Of a merchant who was never shown, half as often as the share, just so, and more."""
    shown, names = Shown(24.0, 0), ("none", "half", "even", "more")
    shares = dict.fromkeys(names, 0.2)
    assert shown.needs(shares, 0) == [0] * 4, "nobody is lifted before anything is shown"
    shown.add(["half"] * 10_000 + ["even"] * 20_000 + ["more"] * 70_000, 0)
    assert shown.needs(shares, 0) == pytest.approx([1, 0.5, 0, 0], abs=0.01)
    assert shown.needs({"none": 0.0}, 0) == [0], "who has nothing for sale needs nothing"


def test_having_been_shown_is_worth_half_after_each_half_life() -> None:
    """Late counts weigh more than early ones; after long nothing is left of either."""
    shown = Shown(12.0, 0)
    shown.add(["early"] * 4_000, 0)
    shown.add(["late"] * 1_000, DAY)
    early, late = shown.needs({"early": 0.9, "late": 0.9}, DAY)
    assert early == pytest.approx(late)
    assert shown.needs({"early": 0.9}, 5_000 * DAY) == pytest.approx([0])
    for day in range(2, 400):
        shown.add(["late"], day * DAY)
    (need,) = shown.needs({"early": 0.9}, 400 * DAY)
    assert 0 < need < 0.05, "few are counted beside the prior"


def test_a_bounded_number_of_merchants_is_kept() -> None:
    """Those who are shown least are forgotten first."""
    shown = Shown(24.0, 0)
    shown.add(["often"] * 50, 0)
    for place in range(2 * MERCHANTS):
        shown.add([f"m{place}"], 0)
    assert len(shown) <= MERCHANTS
    share = 50 / (50 + 2 * MERCHANTS)
    assert shown.needs({"often": share}, 0) == pytest.approx([0], abs=0.01)


def test_shares_are_those_of_the_products_for_sale() -> None:
    """Kept up with any change of the catalogue, and equal to counting anew."""
    source, catalog = random.Random(4), Catalog(Vocabulary([f"p{n}" for n in range(40)]))
    kept = Shares(catalog)
    for _ in range(400):
        product_id = f"p{source.randrange(60)}"
        match source.randrange(4):
            case 0:
                catalog.remove_product(product_id)
            case 1:
                catalog.put_offer(product_id, Terms(None, available=source.random() < 0.5))
            case _:
                merchant = f"m{source.randrange(8)}"
                catalog.put_product(product_id, Listing("x", (), merchant))
        codes = list(range(len(catalog.products.merchants.values)))
        if source.random() < 0.3:
            assert kept.of(codes) == Shares(catalog).of(codes)
    sold = [catalog.products.merchants[row] for row in catalog.available.nonzero()[0].tolist()]
    found = dict(zip(catalog.products.merchants.values, kept.of(codes), strict=True))
    for merchant in set(sold):
        assert found[merchant] == pytest.approx(sold.count(merchant) / len(sold))


def test_a_lift_is_a_part_of_the_way_to_the_best() -> None:
    """All of it for who was never shown, at full strength; ties stay as they were ranked."""
    catalog = Catalog(Vocabulary(["a", "b", "c"]))
    for product_id, merchant in (("a", "big"), ("b", "big"), ("c", "small")):
        catalog.put_product(product_id, Listing("x", (), merchant))
    shown = Shown(24.0, 0)
    shown.add(["big"] * 10**5, 0)
    pool = [Ranked(1, 9.0), Ranked(2, 7.0), Ranked(3, 5.0)]
    lift = lifting(0.5, shown, catalog, Shares(catalog), 0)
    found = lift(pool, 4.0)
    assert [row for row, _ in found] == [1, 2, 3]
    assert found[2].score == pytest.approx(7, abs=0.01)
    assert [row for row, _ in lift(pool, 9.0)] == [3, 1, 2]
    assert lift([], 4.0) == []


async def test_lists_of_a_scenario_keep_their_own_account(tmp_path: Path) -> None:
    """What one shows too little comes up in it after a while, and nowhere else."""
    names = {f"{maker}{place}": (1.0, 0.0) for maker in "ab" for place in range(10)}
    popularity = {name: 100 - place for place, name in enumerate(names)}
    shop = Storefront(model_of(tmp_path / "bundle", names, popularity))
    for name in names:
        shop.offer(name, merchant=name[0])
    told = Scenario(
        sources=("popular",),
        variety=Variety(strength=0.0, category=1.0),
        exposure=Exposure(strength=1.0),
    )
    shop.policies.put({SHOP: Scenarios(version="1", scenarios={"home": told, "other": told})})
    before = ids((await shop.recommend(limit=5)).products)
    assert before == [f"a{place}" for place in range(5)]
    for _ in range(int(PRIOR)):
        await shop.recommend(limit=5)
    after = ids((await shop.recommend(limit=5)).products)
    assert any(name.startswith("b") for name in after)
    assert ids((await shop.recommend(limit=5, scenario="other")).products) == before
    similar = Scenario(sources=("popular",), variety=told.variety)
    shop.policies.put({SHOP: Scenarios(version="1", scenarios={"home": similar})})
    assert ids((await shop.recommend(limit=5)).products) == before


async def test_given_products_are_lifted_and_counted_too(tmp_path: Path) -> None:
    """The results of a search are lists that shoppers see."""
    names = {"a": (1.0, 0.0), "b": (1.0, 0.0)}
    shop = Storefront(model_of(tmp_path / "bundle", names, {}))
    for name in names:
        shop.offer(name, merchant=name)
    told = Scenario(sources=("personal",), exposure=Exposure(strength=1.0))
    shop.policies.put({SHOP: Scenarios(version="1", scenarios={"search": told})})
    for _ in range(500):
        await shop.rank("a")
    answer = await shop.rank("a", "b")
    assert ids(answer.products) == ["a", "b"]
    assert answer.products[1].score == pytest.approx(0.0 + 0.5 * 0.83, abs=0.05)
