"""``RecommendationService``: what to show, and why.

Read the profile, encode it, score the whole catalogue, mask, vary, explain, answer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from attune.recommendations.v1 import recommendation_service_pb2 as pb
from prometheus_client import Counter

from services.recommendations.adapters.model import Model
from services.recommendations.adapters.position_reader import PositionReader
from services.recommendations.adapters.profiles import ProfileReader
from services.recommendations.adapters.trends import Trends
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
from services.shared.errors import CatalogLoading, ProductUnknown, RedisUnavailable
from services.shared.folded import Position
from services.shared.grpc_server import Call
from services.shared.model_input import interactions
from services.shared.profile import EMPTY, Profile

DEFAULT_LIMIT: Final = 10

ANSWERS = Counter("recommendations_total", "Lists answered.", ["source", "fallback_cause"])
UNLISTED = Counter(
    "profile_products_unlisted_total",
    "Interactions in profiles that were read with products that the catalogue does not have.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecommendationApi:
    """Answers the service's methods; joined from its parts by the entry point."""

    catalogs: Catalogs
    model: Model
    profiles: ProfileReader
    positions: PositionReader
    trends: Trends
    is_loaded: Callable[[], bool]
    """Whether the catalogue has been read to its end."""
    now_micros: Callable[[], int]
    new_token: Callable[[], str]
    """Names an answer: unique, not guessable, not empty."""

    async def recommend(self, request: pb.RecommendRequest, call: Call) -> pb.RecommendResponse:
        """See the contract."""
        catalog = self._catalog(call.shop_id)
        reached = False if request.HasField("min_position") else None
        try:
            profile, reached = await self._profile(request, call)
            cause = Cause.UNKNOWN_SHOPPER if profile == EMPTY else Cause.EMPTY_PROFILE
        except RedisUnavailable:
            profile, cause = EMPTY, Cause.PROFILE_UNAVAILABLE
        answer = self.answer(request, catalog, profile, cause, call.shop_id)
        ANSWERS.labels(answer.source.name, answer.cause.name).inc()
        return pb.RecommendResponse(
            attribution_token=self.new_token(),
            products=ranked_products(answer.picks, catalog),
            source=SOURCES[answer.source],
            fallback_cause=CAUSES[answer.cause],
            model_version=self.model.version if answer.source is Source.PERSONAL else "",
            position_reached=reached,
        )

    async def _profile(
        self, request: pb.RecommendRequest, call: Call
    ) -> tuple[Profile, bool | None]:
        """The profile, and whether it has the event that it must have, if there is one."""
        who, left = (call.shop_id, request.user_id, request.visitor_id), call.seconds_left
        if not request.HasField("min_position"):
            return await self.profiles.read(*who, seconds_left=left), None
        wanted = request.min_position
        position = Position(wanted.topic_id, wanted.partition, wanted.offset)
        return await self.positions.read(*who, position, seconds_left=left)

    def answer(
        self,
        request: pb.RecommendRequest,
        catalog: Catalog,
        profile: Profile,
        cause: Cause,
        shop_id: str,
    ) -> Answer:
        """A personal list if the profile allows one, else the fallback for ``cause``."""
        limit = request.limit if request.HasField("limit") else DEFAULT_LIMIT
        excluded = _rows(catalog, request.exclude_product_ids)
        excluded |= _rows(catalog, [each.product_id for each in profile.not_interested])
        picks = self._personal(catalog, profile, excluded, limit) if profile != EMPTY else []
        popularity = self.model.learned.popularity
        if picks:
            picks = filled(picks, catalog, popularity, excluded=excluded, limit=limit)
            return Answer(picks, Source.PERSONAL, Cause.UNSPECIFIED)
        trending = self.trends.of(shop_id)
        return fallback(cause, catalog, trending, popularity, excluded=excluded, limit=limit)

    def _personal(
        self, catalog: Catalog, profile: Profile, excluded: set[int], limit: int
    ) -> list[Pick]:
        learned, now = self.model.learned, self.now_micros()
        did = interactions(profile, self.model.reads)
        products = (each.product_id for each in did if each.product_id)
        UNLISTED.inc(sum(catalog.row(product_id) is None for product_id in products))
        reading = self.model.read(did, now)
        bonus = search_bonus(
            profile.searches,
            catalog.index,
            rows=catalog.rows,
            listed=catalog.listed,
            now=now,
        )
        if reading is not None:
            history = reading.history
            scores = personal_scores(reading.scores, catalog, bonus, excluded)
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
        answer = similar(row, self.model.learned, catalog, limit=limit)
        ANSWERS.labels(answer.source.name, answer.cause.name).inc()
        return pb.SimilarProductsResponse(
            attribution_token=self.new_token(),
            products=ranked_products(answer.picks, catalog),
            source=SOURCES[answer.source],
            model_version=self.model.version if answer.source is Source.SIMILAR else "",
        )

    def _catalog(self, shop_id: str) -> Catalog:
        if not self.is_loaded():
            raise CatalogLoading("the catalogue is still being read; try again in a moment")
        return self.catalogs.of(shop_id)


def _rows(catalog: Catalog, product_ids: Sequence[str]) -> set[int]:
    found = (catalog.row(product_id) for product_id in product_ids)
    return {row for row in found if row is not None}
