"""A caller whose time is short gets what takes least, in time, and is told why."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random

import pytest
from attune.recommendations.v1 import recommendation_service_pb2 as pb

from services.recommendations.adapters.folded_profiles import MemoryFoldedProfiles
from services.recommendations.adapters.model import Model
from services.recommendations.adapters.model_shelf import OneModel
from services.recommendations.adapters.position_reader import PositionReader
from services.recommendations.adapters.profiles import ProfileReader
from services.recommendations.answering import Answering
from services.recommendations.domain.catalog import Listing
from services.recommendations.domain.learned import Reading
from services.recommendations.domain.scenario import Scenario, Scenarios
from services.recommendations.recommendation_api import RecommendationApi
from services.recommendations.shadowing import Shadowing
from services.recommendations.shoppers import Shoppers
from services.shared.grpc_server import Call
from services.shared.logged_answer import LoggedAnswer
from services.shared.model_input import Interaction
from services.shared.profile_store import Stored
from tests.moving_clock import MovingClock
from tests.storefront import BEST_SOLD, SHOP, Profiles, Storefront, Trends, ids, model_of, viewed

SMALL = "small"
PERSONAL = (pb.SOURCE_PERSONAL, pb.FALLBACK_CAUSE_UNSPECIFIED)
OUT_OF_TIME = (pb.SOURCE_POPULAR, pb.FALLBACK_CAUSE_OUT_OF_TIME)


@dataclass
class Takes:
    """Seconds that the parts of an answer take."""

    profile: float = 0.0
    rules: float = 0.0
    model: float = 0.0
    telling: float = 0.0
    """What follows the sources."""


class SlowModel(Model):
    """A model that takes time to read."""

    def __init__(self, model: Model, passing: Callable[[], object]) -> None:
        vars(self).update(vars(model))
        self._passing = passing

    def read(
        self, did: Sequence[Interaction], now: int, wanted: Mapping[str, float] | None = None
    ) -> Reading | None:
        self._passing()
        return super().read(did, now, wanted)


class SlowProfiles(Profiles):
    """Profiles that take time to read."""

    def __init__(self, passing: Callable[[], object]) -> None:
        super().__init__()
        self._passing = passing

    async def load(self, names: Sequence[bytes]) -> list[Stored]:
        self._passing()
        return await super().load(names)


class SlowTrends(Trends):
    """What trends, which is asked for when a call's rules are known."""

    def __init__(self, passing: Callable[[], object]) -> None:
        super().__init__()
        self._passing = passing

    def of(self, shop_id: str) -> Sequence[tuple[str, float]]:
        self._passing()
        return super().of(shop_id)


class Hurried(Storefront):
    """A shop by whose clock each part of an answer takes what a test says."""

    def __init__(self, model: Model) -> None:
        super().__init__(model)
        self.clock, self.takes = MovingClock(), Takes()
        self.profiles = SlowProfiles(lambda: self.clock.taking(self.takes.profile))
        self.trends = SlowTrends(lambda: self.clock.taking(self.takes.rules))
        reader = ProfileReader(self.profiles, deadline_seconds=5.0, clock=self.clock)
        folded = MemoryFoldedProfiles(self.profiles)
        shelf = OneModel(SlowModel(model, lambda: self.clock.taking(self.takes.model)))
        self.rested = 0.0
        self.api: RecommendationApi = replace(
            self.api,
            questions=replace(self.api.questions, trends=self.trends, clock=self.clock),
            models=Answering(shelf, Shadowing(shelf), random=Random(1), clock=self.clock),
            shoppers=Shoppers(reader, PositionReader(reader, folded, clock=self.clock)),
            log=self._note,
            rest=self._rest,
        )
        for product_id in self.vocabulary:
            self.offer(product_id, product_id)

    def _note(self, answer: LoggedAnswer) -> None:
        self.clock.taking(self.takes.telling)
        self.logged.append(answer)

    async def _rest(self, seconds: float) -> None:
        self.clock.taking(seconds)
        self.rested += seconds

    async def within(self, seconds: float, shop_id: str = SHOP) -> pb.RecommendResponse:
        """``Recommend`` for ana, with a deadline."""
        return await self.api.recommend(pb.RecommendRequest(user_id="ana"), Call(shop_id, seconds))

    async def batch(self, seconds: float, count: int) -> Sequence[pb.RecommendResponse]:
        """``RecommendBatch`` for ana, so many times, with a deadline that it keeps."""
        until = self.clock.now + seconds
        request = pb.RecommendBatchRequest(shoppers=[pb.Shopper(user_id="ana")] * count)
        answer = await self.api.recommend_batch(request, Call(SHOP, seconds))
        assert self.clock.now <= until
        assert len(answer.answers) == count
        assert all(each.products for each in answer.answers)
        return answer.answers


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return model_of(tmp_path_factory.mktemp("model") / "bundle")


@pytest.fixture
async def shop(model: Model) -> Hurried:
    """Six products, and ana, who has looked at one."""
    shop = Hurried(model)
    await shop.know("ana", viewed("tea"))
    return shop


def how(answer: pb.RecommendResponse | pb.RankProductsResponse) -> tuple[int, int]:
    """How a list was made, and why so."""
    return answer.source, answer.fallback_cause


async def test_a_short_deadline_gets_what_sells(shop: Hurried) -> None:
    """A model that would come too late is not asked; popular products come, and the cause."""
    shop.takes = Takes(model=0.015)
    assert how(await shop.within(0.5)) == PERSONAL
    began = shop.clock.now
    answer = await shop.within(0.02)
    assert how(answer) == OUT_OF_TIME
    assert ids(answer.products) == [*BEST_SOLD, "saw"]
    assert answer.model_version == ""
    assert shop.clock.now == began
    assert how(await shop.within(0.5)) == PERSONAL


@pytest.mark.parametrize(
    ("cheap", "source"),
    [
        ("trending", pb.SOURCE_TRENDING),
        ("trending-in-category", pb.SOURCE_TRENDING),
        ("popular", pb.SOURCE_POPULAR),
    ],
)
async def test_something_comes_where_no_time_is_left(
    shop: Hurried, cheap: str, source: pb.Source.ValueType
) -> None:
    """What is cheap is asked however late it is."""
    shop.trends.leaders = [("saw", 3.0)]
    shop.scenario(sources=("personal", cheap))
    shop.takes = Takes(profile=0.03)
    request = pb.RecommendRequest(user_id="ana", context=pb.Context(category_path=["saw"]))
    answer = await shop.api.recommend(request, Call(SHOP, 0.02))
    assert how(answer) == (source, pb.FALLBACK_CAUSE_OUT_OF_TIME)
    assert "saw" in ids(answer.products)


async def test_given_products_keep_their_order_where_time_is_short(shop: Hurried) -> None:
    """A search is not held up by the model: its own order comes, with the cause."""
    shop.takes = Takes(profile=0.03)
    request = pb.RankProductsRequest(user_id="ana", product_ids=["saw", "tea"])
    answer = await shop.api.rank_products(request, Call(SHOP, 0.02))
    assert ids(answer.products) == ["saw", "tea"]
    assert how(answer) == (pb.SOURCE_GIVEN, pb.FALLBACK_CAUSE_OUT_OF_TIME)


async def test_what_the_rules_take_is_gone_for_the_model(shop: Hurried) -> None:
    """Filters, boosts and pins are known before it is looked what is left for the sources."""
    shop.takes = Takes(model=0.01)
    assert how(await shop.within(0.05)) == PERSONAL
    shop.takes = Takes(rules=0.03, model=0.01)
    assert how(await shop.within(0.05)) == OUT_OF_TIME


async def test_what_follows_the_model_is_kept_back(shop: Hurried) -> None:
    """A model that would fit alone is not asked where its list could not be told in time."""
    shop.takes = Takes(model=0.001, telling=0.015)
    assert how(await shop.within(0.5)) == PERSONAL
    assert how(await shop.within(0.03)) == OUT_OF_TIME
    assert how(await shop.within(0.04)) == PERSONAL


async def test_one_stall_is_forgotten_at_once(shop: Hurried) -> None:
    """A server that stood still for a second asks its model for the next hurried caller."""
    shop.takes = Takes(model=0.002)
    assert how(await shop.within(0.1)) == PERSONAL
    shop.takes = Takes(model=1.3)
    await shop.within(0.1)
    shop.takes = Takes(model=0.002)
    assert how(await shop.within(0.1)) == PERSONAL


async def test_a_large_shop_does_not_cost_a_small_one_its_model(shop: Hurried) -> None:
    """What one shop's catalogue takes says nothing of another's."""
    catalog = shop.catalogs.for_feeding(SMALL)
    for product_id in shop.vocabulary:
        catalog.put_product(product_id, Listing(product_id, (product_id,), "acme"))
    shop.policies.put({SMALL: Scenarios(version="1", scenarios={"home": Scenario()})})
    await shop.know("ana", viewed("tea"), shop_id=SMALL)
    shop.takes = Takes(model=0.3)
    for _ in range(50):
        assert how(await shop.within(5.0)) == PERSONAL
    assert how(await shop.within(0.1)) == OUT_OF_TIME
    shop.takes = Takes(model=0.002)
    assert how(await shop.within(0.1, SMALL)) == PERSONAL


async def test_a_batch_rests_as_long_as_it_works(shop: Hurried) -> None:
    """With time enough all lists are personal, and other calls have half of it."""
    shop.takes = Takes(profile=0.005, model=0.005)
    answers = await shop.batch(5.0, 100)
    assert {how(each) for each in answers} == {PERSONAL}
    assert shop.rested == pytest.approx(1.0)


async def test_a_batch_comes_in_time(shop: Hurried) -> None:
    """Where there is no time for all, the others get what takes least, and the cause."""
    shop.takes = Takes(profile=0.01, model=0.01, telling=0.001)
    answers = await shop.batch(1.0, 100)
    found = [how(each) for each in answers]
    assert set(found) == {PERSONAL, OUT_OF_TIME}
    assert found[-1] == OUT_OF_TIME
    assert found.count(PERSONAL) >= 15
    assert len(shop.logged) == 100


async def test_a_batch_that_is_held_up_comes_in_time(shop: Hurried) -> None:
    """After a list that took most of the time, there is none to rest and none for another such."""
    shop.takes = Takes(profile=0.6, telling=0.001)
    found = [how(each) for each in await shop.batch(1.0, 50)]
    assert found == [PERSONAL, *[OUT_OF_TIME] * 49]


async def test_a_batch_with_little_time_is_made_of_what_takes_least(shop: Hurried) -> None:
    """Nearly all lists are made in haste where there is hardly time for those."""
    shop.takes = Takes(profile=0.01, model=0.005, telling=0.0002)
    found = [how(each) for each in await shop.batch(0.05, 100)]
    assert found.count(OUT_OF_TIME) >= 98
