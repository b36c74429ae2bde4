"""``RecommendationService``: what to show, and why.

Read the profile, encode it, score the whole catalogue, mask, vary, explain, answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypedDict

from attune.recommendations.v1 import recommendation_service_pb2 as pb
from prometheus_client import Counter

from services.recommendations.domain.answer import Answer
from services.recommendations.domain.ask import Ask
from services.recommendations.domain.given import ranked
from services.recommendations.domain.learned import Model
from services.recommendations.domain.lists import made
from services.recommendations.domain.policies import Policies, Policy
from services.recommendations.domain.sentences import language_of
from services.recommendations.domain.shopper import unlisted
from services.recommendations.messages import (
    CAUSES,
    SOURCES,
    arms_of,
    logged_products,
    ranked_products,
)
from services.recommendations.questions import Questions, Wanted
from services.recommendations.shoppers import Shoppers, Who
from services.shared.errors import CatalogLoading, ProductUnknown
from services.shared.grpc_server import Call
from services.shared.logged_answer import LoggedAnswer

DEFAULT_LIMIT: Final = 10

ANSWERS = Counter(
    "recommendations_total", "Lists answered.", ["scenario", "source", "fallback_cause"]
)

UNLISTED = Counter(
    "profile_products_unlisted_total",
    "Interactions with products that the catalogue lacks, in profiles that were read.",
)


class Said(TypedDict):
    """Fields that all answers have, by their names in the contract."""

    attribution_token: str
    products: Sequence[pb.RankedProduct]
    source: pb.Source.ValueType
    model_version: str
    scenario: str
    arms: Sequence[pb.ExperimentArm]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecommendationApi:
    """Answers the service's methods; joined from its parts by the entry point."""

    questions: Questions
    model: Model
    shoppers: Shoppers
    policies: Policies
    is_loaded: Callable[[], bool]
    """Whether the catalogue has been read to its end."""
    new_token: Callable[[], str]
    """Names an answer: unique, not guessable, not empty."""
    log: Callable[[LoggedAnswer], None]
    """Takes note of an answer; never waits, never raises."""

    async def recommend(self, request: pb.RecommendRequest, call: Call) -> pb.RecommendResponse:
        """See the contract."""
        who = Who(call.shop_id, request.user_id, request.visitor_id)
        policy = self._policy(who, request.scenario or "home")
        wanted = Wanted(
            request.filter,
            request.context,
            _limit(request),
            self.questions.budget(call.seconds_left),
            request.exclude_product_ids,
            request.anchor_product_ids,
        )
        must_have = request.min_position if request.HasField("min_position") else None
        known = await self.shoppers.known(who, call.seconds_left, must_have)
        ask = self.questions.ask(who, policy, self.model, known, wanted)
        answer = self._counted(who, policy, ask, made(ask))
        UNLISTED.inc(unlisted(known.profile, ask.catalog))
        return pb.RecommendResponse(
            **self._said("Recommend", who, policy, ask, answer, request.context),
            fallback_cause=CAUSES[answer.cause],
            position_reached=known.reached,
        )

    async def recommend_batch(
        self, request: pb.RecommendBatchRequest, call: Call
    ) -> pb.RecommendBatchResponse:
        """See the contract. It rests as long as it works: other calls have half of the time."""
        clock, answers = self.questions.clock, []
        until = clock() + call.seconds_left
        for each in request.shoppers:
            started = clock()
            one = pb.RecommendRequest(
                user_id=each.user_id,
                visitor_id=each.visitor_id,
                limit=_limit(request),
                scenario=request.scenario or "e-mail",
                filter=request.filter,
                context=request.context,
            )
            answers.append(await self.recommend(one, call._replace(seconds_left=until - started)))
            await asyncio.sleep(clock() - started)
        return pb.RecommendBatchResponse(answers=answers)

    async def similar_products(
        self, request: pb.SimilarProductsRequest, call: Call
    ) -> pb.SimilarProductsResponse:
        """See the contract."""
        who = Who(call.shop_id, request.user_id, request.visitor_id)
        policy = self._policy(who, request.scenario or "product-page")
        if self.questions.catalogs.of(who.shop_id).row(request.product_id) is None:
            raise ProductUnknown(f"the catalogue has no product {request.product_id!r}")
        wanted = Wanted(
            request.filter,
            request.context,
            _limit(request),
            self.questions.budget(call.seconds_left),
            request.exclude_product_ids,
            [request.product_id],
        )
        known = await self.shoppers.known(who, call.seconds_left)
        ask = self.questions.ask(who, policy, self.model, known, wanted)
        answer = self._counted(who, policy, ask, made(ask))
        return pb.SimilarProductsResponse(
            **self._said("SimilarProducts", who, policy, ask, answer, request.context)
        )

    async def rank_products(
        self, request: pb.RankProductsRequest, call: Call
    ) -> pb.RankProductsResponse:
        """See the contract."""
        who = Who(call.shop_id, request.user_id, request.visitor_id)
        policy = self._policy(who, request.scenario or "search")
        wanted = Wanted(
            request.filter,
            request.context,
            len(request.product_ids),
            self.questions.budget(call.seconds_left),
        )
        must_have = request.min_position if request.HasField("min_position") else None
        known = await self.shoppers.known(who, call.seconds_left, must_have)
        ask = self.questions.ask(who, policy, self.model, known, wanted)
        given = (ask.catalog.row(product_id) for product_id in dict.fromkeys(request.product_ids))
        found = ranked(ask, [row for row in given if row is not None])
        answer = self._counted(who, policy, ask, found)
        return pb.RankProductsResponse(
            **self._said("RankProducts", who, policy, ask, answer, request.context),
            fallback_cause=CAUSES[answer.cause],
            position_reached=known.reached,
        )

    def _policy(self, who: Who, scenario: str) -> Policy:
        """What the call goes by. Raises CatalogLoading, and ScenarioUnknown."""
        if not self.is_loaded():
            raise CatalogLoading("the catalogue is still being read; try again in a moment")
        return self.policies.of(who.shop_id, scenario, who.unit)

    def _counted(self, who: Who, policy: Policy, ask: Ask, answer: Answer) -> Answer:
        ANSWERS.labels(policy.name, answer.source.name, answer.cause.name).inc()
        shown = (pick.row for pick in answer.picks)
        self.questions.exposures.add(who.shop_id, policy, ask.catalog, shown, ask.now)
        return answer

    def _said(
        self, method: str, who: Who, policy: Policy, ask: Ask, answer: Answer, context: pb.Context
    ) -> Said:
        """What every answer says, whichever method gives it; and have it logged."""
        said = Said(
            attribution_token=self.new_token(),
            products=ranked_products(answer.picks, ask.catalog, language_of(context.language)),
            source=SOURCES[answer.source],
            model_version=self.model.version if answer.by_model else "",
            scenario=policy.name,
            arms=arms_of(policy.arms),
        )
        self.log(
            LoggedAnswer(
                attribution_token=said["attribution_token"],
                shop_id=who.shop_id,
                user_id=who.user_id,
                visitor_id=who.visitor_id,
                answered_at=ask.now,
                took=int(ask.budget.spent * 1e6),
                method=method,
                scenario=policy.name,
                source=said["source"],
                fallback_cause=CAUSES[answer.cause],
                model_version=said["model_version"],
                arms=tuple((each.experiment, each.arm) for each in policy.arms),
                products=logged_products(answer.picks, ask.catalog),
                attribution=policy.scenario.attribution,
            )
        )
        return said


def _limit(
    request: pb.RecommendRequest | pb.SimilarProductsRequest | pb.RecommendBatchRequest,
) -> int:
    return request.limit if request.HasField("limit") else DEFAULT_LIMIT
