"""``RecommendationService``: what to show, and why.

Read the profile, encode it, score the whole catalogue, mask, vary, explain, answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypedDict

from attune.recommendations.v1 import recommendation_service_pb2 as pb
from prometheus_client import Counter

from services.recommendations.answering import Answering, Made
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
from services.recommendations.shoppers import UNREAD, Known, Shoppers, Who
from services.shared.errors import CatalogLoading, ProductUnknown, ShopNotServed
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
    fallback_cause: pb.FallbackCause.ValueType
    model_version: str
    scenario: str
    arms: Sequence[pb.ExperimentArm]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecommendationApi:
    """Answers the service's methods; joined from its parts by the entry point."""

    questions: Questions
    models: Answering
    shoppers: Shoppers
    policies: Policies
    is_loaded: Callable[[], bool]
    """Whether the catalogue has been read to its end."""
    new_token: Callable[[], str]
    """Names an answer: unique, not guessable, not empty."""
    log: Callable[[LoggedAnswer], None]
    """Takes note of an answer; never waits, never raises."""
    rest: Callable[[float], Awaitable[None]] = asyncio.sleep
    """Lets other calls have so many seconds."""

    async def recommend(self, request: pb.RecommendRequest, call: Call) -> pb.RecommendResponse:
        """See the contract."""
        who, policy, wanted = self._asked(request, call)
        must_have = request.min_position if request.HasField("min_position") else None
        known = await self.shoppers.known(who, call.seconds_left, must_have)
        return await self._recommended(who, policy, wanted, known)

    async def recommend_batch(
        self, request: pb.RecommendBatchRequest, call: Call
    ) -> pb.RecommendBatchResponse:
        """See the contract. It rests as long as it works: other calls have half of the time.

        Where time runs short, shoppers get what takes least, without a rest, so that all lists are
        there by the deadline.
        """
        clock, answers = self.questions.clock, []
        turns = self.questions.turns(call.shop_id, call.seconds_left, len(request.shoppers))
        for each in request.shoppers:
            one = pb.RecommendRequest(
                user_id=each.user_id,
                visitor_id=each.visitor_id,
                limit=_limit(request),
                scenario=request.scenario or "e-mail",
                filter=request.filter,
                context=request.context,
            )
            started, seconds, rest = clock(), turns.next(), 0.0
            if seconds is None:
                answers.append(await self._in_haste(one, call))
            else:
                answers.append(await self.recommend(one, call._replace(seconds_left=seconds)))
                rest = turns.rest(clock() - started)
            await self.rest(rest)
        return pb.RecommendBatchResponse(answers=answers)

    async def _in_haste(self, request: pb.RecommendRequest, call: Call) -> pb.RecommendResponse:
        """The list that takes least: no profile is waited for, and no model is asked."""
        hurried = self._asked(request, call._replace(seconds_left=0.0))
        return await self._recommended(*hurried, UNREAD)

    def _asked(self, request: pb.RecommendRequest, call: Call) -> tuple[Who, Policy, Wanted]:
        """For whom a list is, what it goes by, and what the caller says of it."""
        who = Who(call.shop_id, request.user_id, request.visitor_id)
        policy = self._policy(who, request.scenario or "home")
        wanted = Wanted(
            request.filter,
            request.context,
            _limit(request),
            self.questions.budget(who.shop_id, call.seconds_left),
            request.exclude_product_ids,
            request.anchor_product_ids,
        )
        return who, policy, wanted

    async def _recommended(
        self, who: Who, policy: Policy, wanted: Wanted, known: Known
    ) -> pb.RecommendResponse:
        found = await self._made(who, policy, known, wanted, made)
        UNLISTED.inc(unlisted(known.profile, self.questions.catalogs.of(who.shop_id)))
        return pb.RecommendResponse(
            **self._said("Recommend", who, policy, wanted, found),
            position_reached=known.reached,
        )

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
            self.questions.budget(who.shop_id, call.seconds_left),
            request.exclude_product_ids,
            [request.product_id],
        )
        known = await self.shoppers.known(who, call.seconds_left)
        found = await self._made(who, policy, known, wanted, made)
        return pb.SimilarProductsResponse(
            **self._said("SimilarProducts", who, policy, wanted, found)
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
            self.questions.budget(who.shop_id, call.seconds_left),
        )
        must_have = request.min_position if request.HasField("min_position") else None
        known = await self.shoppers.known(who, call.seconds_left, must_have)
        product_ids = tuple(dict.fromkeys(request.product_ids))
        found = await self._made(who, policy, known, wanted, lambda ask: _ranked(ask, product_ids))
        return pb.RankProductsResponse(
            **self._said("RankProducts", who, policy, wanted, found),
            position_reached=known.reached,
        )

    def _policy(self, who: Who, scenario: str) -> Policy:
        """What the call goes by. Raises CatalogLoading, ShopNotServed and ScenarioUnknown."""
        if not self.is_loaded():
            raise CatalogLoading("the catalogue is still being read; try again in a moment")
        if not self.questions.catalogs.serves(who.shop_id):
            raise ShopNotServed(f"this server does not answer for the shop {who.shop_id!r}")
        return self.policies.of(who.shop_id, scenario, who.unit)

    async def _made(
        self,
        who: Who,
        policy: Policy,
        known: Known,
        wanted: Wanted,
        answer: Callable[[Ask], Answer],
    ) -> Made:
        """The answer, by the shopper's model, once its conditions are ready; it is counted."""
        await self.questions.ready(who, policy, wanted)
        asked: list[Ask] = []

        def make(model: Model) -> Answer:
            asked.append(self.questions.ask(who, policy, model, known, wanted))
            return answer(asked[-1])

        def aside(model: Model) -> Answer:
            unhurried = wanted._replace(budget=self.questions.unhurried())
            return answer(self.questions.ask(who, policy, model, known, unhurried))

        found = self.models.made(who.shop_id, who.subject, policy.name, make, aside)
        ask, (picks, source, cause, _) = asked[-1], found.answer
        if ask.history:
            self.models.remember(who.shop_id, ask.history, ask.now)
        ANSWERS.labels(policy.name, source.name, cause.name).inc()
        shown = (pick.row for pick in picks)
        self.questions.exposures.add(who.shop_id, policy, ask.catalog, shown, ask.now)
        return found

    def _said(self, method: str, who: Who, policy: Policy, wanted: Wanted, found: Made) -> Said:
        """What every answer says, whichever method gives it; have it logged, and end its time."""
        catalog, (answer, model) = self.questions.catalogs.of(who.shop_id), found
        language = language_of(wanted.context.language)
        said = Said(
            attribution_token=self.new_token(),
            products=ranked_products(answer.picks, catalog, language),
            source=SOURCES[answer.source],
            fallback_cause=CAUSES[answer.cause],
            model_version=model.version if answer.by_model else "",
            scenario=policy.name,
            arms=arms_of(policy.arms),
        )
        self.log(
            LoggedAnswer(
                attribution_token=said["attribution_token"],
                shop_id=who.shop_id,
                user_id=who.user_id,
                visitor_id=who.visitor_id,
                answered_at=self.questions.now_micros(),
                took=int(wanted.budget.spent * 1e6),
                method=method,
                scenario=policy.name,
                source=said["source"],
                fallback_cause=said["fallback_cause"],
                model_version=said["model_version"],
                arms=tuple((each.experiment, each.arm) for each in policy.arms),
                products=logged_products(answer.picks, catalog),
                attribution=policy.scenario.attribution,
            )
        )
        wanted.budget.end()
        return said


def _ranked(ask: Ask, product_ids: Sequence[str]) -> Answer:
    rows = (ask.catalog.row(product_id) for product_id in product_ids)
    return ranked(ask, [row for row in rows if row is not None])


def _limit(
    request: pb.RecommendRequest | pb.SimilarProductsRequest | pb.RecommendBatchRequest,
) -> int:
    return request.limit if request.HasField("limit") else DEFAULT_LIMIT
