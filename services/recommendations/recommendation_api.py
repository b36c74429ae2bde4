"""``RecommendationService``: what to show, and why.

Read the profile, encode it, score the whole catalogue, mask, vary, explain, answer.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Final

from attune.recommendations.v1 import recommendation_service_pb2 as pb
from prometheus_client import Counter

from services.recommendations.adapters.model import Model
from services.recommendations.adapters.profiles import ProfileReader
from services.recommendations.adapters.trends import Trends
from services.recommendations.answering import Answering
from services.recommendations.domain.catalog import Catalog
from services.recommendations.domain.catalogs import Catalogs
from services.recommendations.domain.fallback import Answer, Cause, Pick, Source, fallback, filled
from services.recommendations.domain.personal import (
    personal_picks,
    personal_scores,
    searched_scores,
)
from services.recommendations.domain.reasons import NOTHING_READ
from services.recommendations.domain.search_terms import search_bonus
from services.recommendations.domain.similar import similar
from services.recommendations.messages import CAUSES, SOURCES, ranked_products
from services.shared.errors import (
    CatalogLoading,
    ProductUnknown,
    RedisUnavailable,
    ShopNotServed,
)
from services.shared.grpc_server import Call
from services.shared.model_input import Interaction, interactions
from services.shared.profile import EMPTY, Profile
from services.shared.subject import subject_of

DEFAULT_LIMIT: Final = 10

HOME: Final = "home"
"""The scenario of who names none."""

Did = Callable[[Collection[str]], Sequence[Interaction]]
"""What a shopper did of the actions of these names, oldest first."""

ANSWERS = Counter("recommendations_total", "Lists answered.", ["source", "fallback_cause"])
UNLISTED = Counter(
    "profile_products_unlisted_total",
    "Interactions in profiles that were read with products that the catalogue does not have.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecommendationApi:
    """Answers the service's methods; joined from its parts by the entry point."""

    catalogs: Catalogs
    models: Answering
    profiles: ProfileReader
    trends: Trends
    is_loaded: Callable[[], bool]
    """Whether the catalogue has been read to its end."""
    now_micros: Callable[[], int]
    new_token: Callable[[], str]
    """Names an answer: unique, not guessable, not empty."""

    async def recommend(self, request: pb.RecommendRequest, call: Call) -> pb.RecommendResponse:
        """See the contract."""
        catalog = self._catalog(call.shop_id)
        try:
            profile = await self.profiles.read(
                call.shop_id,
                request.user_id,
                request.visitor_id,
                seconds_left=call.seconds_left,
            )
            cause = Cause.UNKNOWN_SHOPPER if profile == EMPTY else Cause.EMPTY_PROFILE
        except RedisUnavailable:
            profile, cause = EMPTY, Cause.PROFILE_UNAVAILABLE
        did = _did(profile)
        answer, model = self.models.made(
            call.shop_id,
            subject_of(request.user_id, request.visitor_id),
            request.scenario or HOME,
            lambda model: self.answer(model, request, catalog, profile, did, cause, call.shop_id),
        )
        self._remember(did(model.reads), catalog, call.shop_id)
        ANSWERS.labels(answer.source.name, answer.cause.name).inc()
        return pb.RecommendResponse(
            attribution_token=self.new_token(),
            products=ranked_products(answer.picks, catalog),
            source=SOURCES[answer.source],
            fallback_cause=CAUSES[answer.cause],
            model_version=model.version if answer.source is Source.PERSONAL else "",
        )

    def answer(
        self,
        model: Model,
        request: pb.RecommendRequest,
        catalog: Catalog,
        profile: Profile,
        did: Did,
        cause: Cause,
        shop_id: str,
    ) -> Answer:
        """A personal list if the profile allows one, else the fallback for ``cause``.

        ``did`` are the profile's interactions. Changes nothing: a model on trial is asked the same.
        """
        limit = request.limit if request.HasField("limit") else DEFAULT_LIMIT
        excluded = _rows(catalog, request.exclude_product_ids)
        excluded |= _rows(catalog, [each.product_id for each in profile.not_interested])
        known = profile != EMPTY
        picks = self._personal(model, catalog, profile, did, excluded, limit) if known else []
        popularity = model.learned.popularity
        if picks:
            picks = filled(picks, catalog, popularity, excluded=excluded, limit=limit)
            return Answer(picks, Source.PERSONAL, Cause.UNSPECIFIED)
        trending = self.trends.of(shop_id)
        return fallback(cause, catalog, trending, popularity, excluded=excluded, limit=limit)

    def _personal(
        self,
        model: Model,
        catalog: Catalog,
        profile: Profile,
        did: Did,
        excluded: set[int],
        limit: int,
    ) -> list[Pick]:
        learned, now = model.learned, self.now_micros()
        reading = model.read(did(model.reads), now)
        bonus = search_bonus(
            profile.searches,
            catalog.index,
            rows=catalog.rows,
            listed=catalog.listed,
            now=now,
        )
        if reading is not None:
            history = reading.history
            scores = personal_scores(reading.scores, catalog, bonus, excluded, learned.gaps)
        elif bonus is not None:
            history = NOTHING_READ
            scores = searched_scores(learned, catalog, bonus, excluded)
        else:
            return []
        return personal_picks(scores, learned, catalog, history, bonus, limit=limit)

    async def similar_products(
        self, request: pb.SimilarProductsRequest, call: Call
    ) -> pb.SimilarProductsResponse:
        """See the contract."""
        catalog = self._catalog(call.shop_id)
        row = catalog.row(request.product_id)
        if row is None:
            raise ProductUnknown(f"the catalogue has no product {request.product_id!r}")
        limit = request.limit if request.HasField("limit") else DEFAULT_LIMIT
        model = self.models.of(call.shop_id)
        answer = similar(row, model.learned, catalog, limit=limit)
        ANSWERS.labels(answer.source.name, answer.cause.name).inc()
        return pb.SimilarProductsResponse(
            attribution_token=self.new_token(),
            products=ranked_products(answer.picks, catalog),
            source=SOURCES[answer.source],
            model_version=model.version if answer.source is Source.SIMILAR else "",
        )

    def _remember(self, did: Sequence[Interaction], catalog: Catalog, shop_id: str) -> None:
        """Keep what a model read for the next one to warm up with, and count what nobody knows."""
        if did:
            self.models.remember(shop_id, did, self.now_micros())
            products = (each.product_id for each in did if each.product_id)
            UNLISTED.inc(sum(catalog.row(product_id) is None for product_id in products))

    def _catalog(self, shop_id: str) -> Catalog:
        if not self.catalogs.serves(shop_id):
            raise ShopNotServed(f"this server does not answer for the shop {shop_id!r}")
        if not self.is_loaded():
            raise CatalogLoading("the catalogue is still being read; try again in a moment")
        return self.catalogs.of(shop_id)


def _rows(catalog: Catalog, product_ids: Sequence[str]) -> set[int]:
    found = (catalog.row(product_id) for product_id in product_ids)
    return {row for row in found if row is not None}


def _did(profile: Profile) -> Did:
    """The profile's interactions, put together once for models that read the same actions."""
    found: dict[frozenset[str], Sequence[Interaction]] = {}

    def did(reads: Collection[str]) -> Sequence[Interaction]:
        key = frozenset(reads)
        if key not in found:
            found[key] = interactions(profile, key)
        return found[key]

    return did
