"""A filter that takes long is computed in slices, between which other calls have their turn."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from attune.recommendations.v1 import recommendation_service_pb2 as pb

from services.recommendations import preparing
from services.recommendations.domain import kept_masks
from services.recommendations.domain.scenario import Boost, Pin
from services.shared.errors import TooManyCalls
from services.shared.grpc_server import Call
from tests.storefront import SHOP, Storefront, ids, random_shop
from tests.waiting import turns_during

SLICES = 70
FILTER = "product.title.matches('p00[0-4]')"
OTHER = "product.title.matches('p06[0-4]')"


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Storefront:
    """A shop of 700 products, ten in a slice, whose home page shows what sells best."""
    monkeypatch.setattr(kept_masks, "SLICE_ROWS", 10)
    shop = random_shop(tmp_path / "bundle", 10 * SLICES - 1, seed=5)
    shop.scenario(sources=("popular",))
    return shop


async def hurried(shop: Storefront, wanted: str) -> pb.RecommendResponse:
    """``Recommend`` with no time to wait in."""
    request = pb.RecommendRequest(user_id="ana", filter=wanted)
    return await shop.api.recommend(request, Call(SHOP, 0.0))


async def test_other_calls_have_their_turn_while_a_filter_is_computed(shop: Storefront) -> None:
    """In every method that takes one; once it is there a call is answered at once."""
    assert await turns_during(shop.recommend(filter=FILTER)) >= SLICES
    assert await turns_during(shop.recommend(filter=FILTER)) < 5
    assert await turns_during(shop.similar("p0001", filter=OTHER)) >= SLICES
    third = "product.title.startsWith('The p06')"
    assert await turns_during(shop.rank("p0001", filter=third)) >= SLICES
    answer = await shop.recommend(filter=FILTER, limit=100)
    assert answer.products
    assert all(each < "p0050" for each in ids(answer.products))


async def test_the_scenario_s_own_conditions_are_computed_so_as_well(shop: Storefront) -> None:
    """Where no warm-up has, or what is kept was dropped for others."""
    shop.scenario(
        sources=("popular",),
        filter=FILTER,
        boosts=(Boost(when=OTHER, by=0.5),),
        pins=(Pin(product="p0600", place=1, when="product.title.endsWith('0')"),),
    )
    assert await turns_during(shop.recommend()) >= 3 * SLICES
    assert await turns_during(shop.recommend()) < 5


async def test_a_call_whose_time_ends_before_its_filter_is_there_is_too_late(
    shop: Storefront,
) -> None:
    """It is not answered without the filter; whoever asks again finds what was begun."""
    with pytest.raises(TimeoutError, match="filter"):
        await hurried(shop, FILTER)
    for _ in range(2 * SLICES):
        await asyncio.sleep(0)
    assert (await hurried(shop, FILTER)).products


async def test_calls_that_want_the_same_filter_share_the_work(shop: Storefront) -> None:
    """Ten calls take as many slices as one."""
    calls = asyncio.gather(*(shop.recommend(f"u{number}", filter=FILTER) for number in range(10)))
    assert await turns_during(calls) < 2 * SLICES


async def test_too_many_new_filters_at_once_are_refused(
    shop: Storefront, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They would be computed one after the other, and nobody waits so long."""
    monkeypatch.setattr(preparing, "MOST", 1)
    first = asyncio.create_task(shop.recommend(filter=FILTER))
    await asyncio.sleep(0)
    with pytest.raises(TooManyCalls, match="filters"):
        await shop.recommend(filter=OTHER)
    same = await shop.recommend(filter=FILTER)
    assert ids((await first).products) == ids(same.products)
    assert (await shop.recommend(filter=OTHER)).products
