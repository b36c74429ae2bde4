"""``RecommendationService``: what to show, and why.

Read the profile, encode it, score the whole catalogue, mask, vary, explain, answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol

from attune.recommendations.v1 import recommendation_service_pb2 as pb
from prometheus_client import Counter

from services.recommendations.adapters.profiles import ProfileReader
from services.recommendations.domain.answer import Answer, Cause
from services.recommendations.domain.ask import Ask
from services.recommendations.domain.budget import Budget, Costs
from services.recommendations.domain.catalog import Catalog
from services.recommendations.domain.catalogs import Catalogs
from services.recommendations.domain.exposure import Exposures
from services.recommendations.domain.filters.errors import BadExpression
from services.recommendations.domain.filters.expression import Expressions
from services.recommendations.domain.given import ranked
from services.recommendations.domain.learned import Model
from services.recommendations.domain.lists import made
from services.recommendations.domain.policies import Policies, Policy
from services.recommendations.domain.rules import (
    Conditions,
    in_cart,
    left_out,
    pins_of,
    rows_of,
    rules_of,
)
from services.recommendations.domain.sentences import language_of
from services.recommendations.domain.shopper import Shopper, shopper_of, unlisted
from services.recommendations.messages import CAUSES, SOURCES, arms_of, ranked_products
from services.shared.errors import CatalogLoading, ProductUnknown, RedisUnavailable
from services.shared.grpc_server import Call
from services.shared.profile import EMPTY, Profile
from services.shared.subject import event_key, subject_of

DEFAULT_LIMIT: Final = 10

ANSWERS = Counter(
    "recommendations_total", "Lists answered.", ["scenario", "source", "fallback_cause"]
)

UNLISTED = Counter(
    "profile_products_unlisted_total",
    "Interactions with products that the catalogue lacks, in profiles that were read.",
)


class Trending(Protocol):
    """What trends, by shop."""

    def of(self, shop_id: str) -> Sequence[tuple[str, float]]:
        """Product and score, best first."""
        ...


class Known(NamedTuple):
    """What is known of a shopper."""

    profile: Profile
    cause: Cause
    """Why nothing is, where nothing is."""


UNASKED: Final = Known(EMPTY, Cause.UNKNOWN_SHOPPER)
"""Of a call that names nobody."""


class Who(NamedTuple):
    """Whom a call is for, as far as it says."""

    shop_id: str
    user_id: str
    visitor_id: str

    @property
    def unit(self) -> str:
        """The shopper's name in experiments."""
        return event_key(self.shop_id, subject_of(self.user_id, self.visitor_id)).decode()


class Wanted(NamedTuple):
    """What a call says of its list, whichever method it is."""

    filter: str
    context: pb.Context
    limit: int
    budget: Budget
    excluded: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RecommendationApi:
    """Answers the service's methods; joined from its parts by the entry point."""

    catalogs: Catalogs
    model: Model
    profiles: ProfileReader
    trends: Trending
    policies: Policies
    is_loaded: Callable[[], bool]
    """Whether the catalogue has been read to its end."""
    now_micros: Callable[[], int]
    new_token: Callable[[], str]
    """Names an answer: unique, not guessable, not empty."""
    clock: Callable[[], float]
    """Seconds, for what is left of a deadline."""
    expressions: Expressions = field(default_factory=Expressions)
    costs: Costs = field(default_factory=Costs)
    exposures: Exposures = field(default_factory=Exposures)

    async def recommend(self, request: pb.RecommendRequest, call: Call) -> pb.RecommendResponse:
        """See the contract."""
        budget = self._budget(call)
        who = Who(call.shop_id, request.user_id, request.visitor_id)
        policy = self.policies.of(who.shop_id, request.scenario or "home", who.unit)
        catalog = self._catalog(who.shop_id)
        known = await self._known(who, call.seconds_left)
        return self._list(who, policy, catalog, known, request, budget)

    async def recommend_batch(
        self, request: pb.RecommendBatchRequest, call: Call
    ) -> pb.RecommendBatchResponse:
        """See the contract. It rests as long as it works: other calls have half of the time."""
        answers, begun = [], self.clock()
        for each in request.shoppers:
            started = self.clock()
            one = pb.RecommendRequest(
                user_id=each.user_id,
                visitor_id=each.visitor_id,
                limit=_limit(request),
                scenario=request.scenario or "e-mail",
                filter=request.filter,
                context=request.context,
            )
            left = call.seconds_left - (started - begun)
            answers.append(await self.recommend(one, call._replace(seconds_left=left)))
            await asyncio.sleep(self.clock() - started)
        return pb.RecommendBatchResponse(answers=answers)

    async def similar_products(
        self, request: pb.SimilarProductsRequest, call: Call
    ) -> pb.SimilarProductsResponse:
        """See the contract."""
        budget = self._budget(call)
        who = Who(call.shop_id, request.user_id, request.visitor_id)
        named = bool(who.user_id or who.visitor_id)
        policy = self.policies.of(
            who.shop_id, request.scenario or "product-page", who.unit if named else ""
        )
        catalog = self._catalog(who.shop_id)
        if catalog.row(request.product_id) is None:
            raise ProductUnknown(f"the catalogue has no product {request.product_id!r}")
        known = await self._known(who, call.seconds_left) if named else UNASKED
        wanted = Wanted(
            request.filter, request.context, _limit(request), budget, request.exclude_product_ids
        )
        ask = self._ask(who, policy, catalog, known, wanted, [request.product_id])
        answer = made(ask)
        self._count(who, policy, ask, answer)
        return pb.SimilarProductsResponse(
            attribution_token=self.new_token(),
            products=self._products(answer, ask, request.context),
            source=SOURCES[answer.source],
            model_version=self._version(answer),
            scenario=policy.name,
            arms=arms_of(policy.arms),
        )

    async def rank_products(
        self, request: pb.RankProductsRequest, call: Call
    ) -> pb.RankProductsResponse:
        """See the contract."""
        budget = self._budget(call)
        who = Who(call.shop_id, request.user_id, request.visitor_id)
        policy = self.policies.of(who.shop_id, request.scenario or "search", who.unit)
        catalog = self._catalog(who.shop_id)
        known = await self._known(who, call.seconds_left)
        wanted = Wanted(request.filter, request.context, len(request.product_ids), budget)
        ask = self._ask(who, policy, catalog, known, wanted)
        given = (catalog.row(product_id) for product_id in dict.fromkeys(request.product_ids))
        answer = ranked(ask, [row for row in given if row is not None])
        self._count(who, policy, ask, answer)
        return pb.RankProductsResponse(
            attribution_token=self.new_token(),
            products=self._products(answer, ask, request.context),
            source=SOURCES[answer.source],
            fallback_cause=CAUSES[answer.cause],
            model_version=self._version(answer),
            scenario=policy.name,
            arms=arms_of(policy.arms),
        )

    def _list(
        self,
        who: Who,
        policy: Policy,
        catalog: Catalog,
        known: Known,
        request: pb.RecommendRequest,
        budget: Budget,
    ) -> pb.RecommendResponse:
        """``Recommend``, once the profile is known."""
        wanted = Wanted(
            request.filter, request.context, _limit(request), budget, request.exclude_product_ids
        )
        ask = self._ask(who, policy, catalog, known, wanted, request.anchor_product_ids)
        answer = made(ask)
        self._count(who, policy, ask, answer)
        UNLISTED.inc(unlisted(known.profile, catalog))
        return pb.RecommendResponse(
            attribution_token=self.new_token(),
            products=self._products(answer, ask, request.context),
            source=SOURCES[answer.source],
            fallback_cause=CAUSES[answer.cause],
            model_version=self._version(answer),
            scenario=policy.name,
            arms=arms_of(policy.arms),
        )

    async def _known(self, who: Who, seconds_left: float) -> Known:
        try:
            profile = await self.profiles.read(*who, seconds_left=seconds_left)
        except RedisUnavailable:
            return Known(EMPTY, Cause.PROFILE_UNAVAILABLE)
        return Known(profile, Cause.UNKNOWN_SHOPPER if profile == EMPTY else Cause.EMPTY_PROFILE)

    def _ask(
        self,
        who: Who,
        policy: Policy,
        catalog: Catalog,
        known: Known,
        wanted: Wanted,
        anchors: Sequence[str] = (),
    ) -> Ask:
        """The question that a call puts. Raises BadInput for a filter that cannot be read."""
        now, scenario, profile = self.now_micros(), policy.scenario, known.profile
        conditions = self._conditions(who, catalog, profile, wanted.context, now)
        exposure = self.exposures.rule(who.shop_id, policy, catalog, now)
        try:
            rules = rules_of(scenario, wanted.filter, catalog, conditions, exposure)
        except BadExpression as error:  # the scenario's own were read when it was taken
            raise error.in_field("filter") from None
        excluded = rows_of([*wanted.excluded, *anchors], catalog)
        excluded |= left_out(scenario.leave_out, profile, catalog, now)
        start = dict.fromkeys(anchors or in_cart(profile))
        return Ask(
            catalog=catalog,
            model=self.model,
            placed=self.catalogs.placed(who.shop_id),
            scenario=scenario,
            rules=rules,
            profile=profile,
            cause=known.cause,
            limit=wanted.limit,
            now=now,
            trending=self.trends.of(who.shop_id),
            anchors=[row for each in start if (row := catalog.row(each)) is not None],
            recent=wanted.context.recent_product_ids,
            page=tuple(wanted.context.category_path),
            excluded=excluded,
            pins=pins_of(scenario, catalog, conditions),
            budget=wanted.budget,
        )

    def _budget(self, call: Call) -> Budget:
        return Budget(self.costs, call.seconds_left, self.clock)

    def _conditions(
        self, who: Who, catalog: Catalog, profile: Profile, context: pb.Context, now: int
    ) -> Conditions:
        def shopper() -> Shopper:
            return shopper_of(
                profile,
                catalog,
                now=now,
                signed_in=bool(who.user_id),
                language=context.language,
                country=context.country,
                device=context.device,
            )

        return Conditions(self.expressions, catalog, shopper, now)

    def _products(self, answer: Answer, ask: Ask, context: pb.Context) -> list[pb.RankedProduct]:
        return ranked_products(answer.picks, ask.catalog, language_of(context.language))

    def _version(self, answer: Answer) -> str:
        return self.model.version if answer.by_model else ""

    def _count(self, who: Who, policy: Policy, ask: Ask, answer: Answer) -> None:
        ANSWERS.labels(policy.name, answer.source.name, answer.cause.name).inc()
        shown = (pick.row for pick in answer.picks)
        self.exposures.add(who.shop_id, policy, ask.catalog, shown, ask.now)

    def _catalog(self, shop_id: str) -> Catalog:
        if not self.is_loaded():
            raise CatalogLoading("the catalogue is still being read; try again in a moment")
        return self.catalogs.of(shop_id)


def _limit(
    request: pb.RecommendRequest | pb.SimilarProductsRequest | pb.RecommendBatchRequest,
) -> int:
    return request.limit if request.HasField("limit") else DEFAULT_LIMIT
