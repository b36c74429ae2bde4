"""A small shop that is asked for lists in this process: the real API, a model made by hand.

The model's scores are sums of products' likenesses (see :func:`tests.tiny_bundle.make_bundle`), so
a list can be foretold with a pencil. Time stands still at :data:`NOW`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any, cast

import numpy as np
from attune.recommendations.v1 import recommendation_service_pb2 as pb

from services.recommendations.adapters.folded_profiles import MemoryFoldedProfiles
from services.recommendations.adapters.model import Model
from services.recommendations.adapters.model_shelf import OneModel
from services.recommendations.adapters.position_reader import PositionReader
from services.recommendations.adapters.profiles import ProfileReader
from services.recommendations.answering import Answering
from services.recommendations.domain.catalog import Listing, Price, Terms
from services.recommendations.domain.catalogs import Catalogs
from services.recommendations.domain.policies import Policies
from services.recommendations.domain.scenario import Scenario, Scenarios
from services.recommendations.questions import Questions
from services.recommendations.recommendation_api import RecommendationApi
from services.recommendations.shadowing import Shadowing
from services.recommendations.shoppers import Shoppers
from services.shared.errors import RedisUnavailable
from services.shared.grpc_server import Call
from services.shared.logged_answer import LoggedAnswer
from services.shared.model_input import Vocabulary
from services.shared.profile import Profile, Purchase, Search, Touch, event_hash
from services.shared.profile_codec import encode
from services.shared.profile_store import NOTHING, MemoryProfileStore, Stored, Write
from services.shared.repeat import DAY
from services.shared.subject import event_key
from tests.recommendation_parts import loaded
from tests.tiny_bundle import add_neighbours, make_bundle, seal, write_json

SHOP = "demo"
NOW = 20_000 * DAY
GONE = Terms(None, available=False)
VECTORS = {
    "tea": (1.0, 0.0, 0.0),
    "pot": (0.875, 0.125, 0.0),
    "mug": (0.75, 0.5, 0.0),
    "sock": (0.0, 1.0, 0.125),
    "shoe": (0.0, 0.875, 0.25),
    "saw": (0.0, 0.0, 1.0),
}
POPULARITY = {"tea": 5, "pot": 4, "mug": 3, "sock": 2, "shoe": 1}
SEEN = ("p0001", "p0222", "p0333")
BEST_SOLD = ["tea", "pot", "mug", "sock", "shoe"]
"""Nobody has bought a saw."""

Product = pb.RankedProduct
Kind = pb.Reason


class Profiles(MemoryProfileStore):
    """Profiles in memory; away when told so."""

    is_away = False

    async def load(self, names: Sequence[bytes]) -> list[Stored]:
        if self.is_away:
            raise RedisUnavailable("gone")
        return await super().load(names)


class Trends:
    """What trends, as a test says."""

    def __init__(self) -> None:
        self.leaders: Sequence[tuple[str, float]] = ()

    def of(self, shop_id: str) -> Sequence[tuple[str, float]]:
        return self.leaders


class Storefront:
    """One shop, and whoever asks in its name."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.vocabulary = cast("Vocabulary", model.products)
        self.catalogs = Catalogs(self.vocabulary)
        self.catalog = self.catalogs.for_feeding(SHOP)
        self.profiles, self.trends, self.policies = Profiles(), Trends(), Policies()
        self.logged: list[LoggedAnswer] = []
        reader = ProfileReader(self.profiles, deadline_seconds=5.0, clock=lambda: 0.0)
        folded = MemoryFoldedProfiles(self.profiles)
        self.api = RecommendationApi(
            questions=Questions(
                catalogs=self.catalogs,
                trends=self.trends,
                now_micros=lambda: NOW,
                clock=lambda: 0.0,
            ),
            models=Answering(
                OneModel(model), Shadowing(OneModel(model)), random=Random(1), clock=lambda: 0.0
            ),
            shoppers=Shoppers(reader, PositionReader(reader, folded, clock=lambda: 0.0)),
            policies=self.policies,
            is_loaded=lambda: True,
            new_token=lambda: "token",
            log=self.logged.append,
        )

    def offer(
        self,
        product_id: str,
        *path: str,
        title: str = "",
        merchant: str = "acme",
        brand: str = "",
        price: int | None = None,
        available: bool = True,
    ) -> None:
        """List a product, at a price in whole units."""
        listing = Listing(title or f"The {product_id}", path, merchant, brand)
        self.catalog.put_product(product_id, listing)
        terms = None if price is None else Price("EUR", price, 0)
        self.catalog.put_offer(product_id, Terms(terms, available))

    def scenario(self, **fields: Any) -> None:
        """The home page is made so."""
        self.policies.put({SHOP: Scenarios(version="1", scenarios={"home": Scenario(**fields)})})

    async def know(self, user_id: str, profile: Profile, shop_id: str = SHOP) -> None:
        """Whoever signs in so did that."""
        write = Write(event_key(shop_id, f"u:{user_id}"), NOTHING, encode(profile))
        assert await self.profiles.save([write], retention=timedelta(days=1)) == [True]

    async def recommend(self, user_id: str = "ana", **fields: Any) -> pb.RecommendResponse:
        """``Recommend``."""
        request = pb.RecommendRequest(user_id=user_id, **fields)
        return await self.api.recommend(request, Call(SHOP, 10.0))

    async def similar(self, product_id: str, **fields: Any) -> pb.SimilarProductsResponse:
        """``SimilarProducts``."""
        request = pb.SimilarProductsRequest(product_id=product_id, **fields)
        return await self.api.similar_products(request, Call(SHOP, 10.0))

    async def rank(
        self, *product_ids: str, user_id: str = "ana", **fields: Any
    ) -> pb.RankProductsResponse:
        """``RankProducts``."""
        request = pb.RankProductsRequest(user_id=user_id, product_ids=product_ids, **fields)
        return await self.api.rank_products(request, Call(SHOP, 10.0))


def model_of(
    folder: Path,
    vectors: Mapping[str, Sequence[float]] = VECTORS,
    popularity: Mapping[str, int] = POPULARITY,
    *,
    together: Mapping[str, Mapping[str, float]] | None = None,
    repeat: Mapping[str, object] | None = None,
) -> Model:
    """The model of a bundle that is written to ``folder``.

    ``together`` says how much products are bought together, ``repeat`` is a repeat table.
    """
    blend = {"neighbours": float(together is not None), "repeat": float(repeat is not None)}
    make_bundle(folder, vectors, popularity=popularity, blend=blend)
    row = {product_id: place for place, product_id in enumerate(vectors, start=1)}
    if together is not None:
        likes = {
            row[one]: {row[other]: like for other, like in near.items()}
            for one, near in together.items()
        }
        add_neighbours(folder, likes, rows=len(vectors) + 1)
    if repeat is not None:
        write_json(folder / "repeat.json", repeat)
    seal(folder)
    return loaded(folder)[0]


def shop_of(model: Model, *new: str) -> Storefront:
    """What the model knows is for sale, and ``new`` products; each is of a kind of its own."""
    shop = Storefront(model)
    for product_id in (*shop.vocabulary, *new):
        shop.offer(product_id, product_id)
    return shop


def large_shop(folder: Path) -> Storefront:
    """A shop of 700 products, and ``ana``, who looked at three of them (:data:`SEEN`)."""
    shop = random_shop(folder, 700, 5)
    asyncio.run(shop.know("ana", viewed(*SEEN)))
    return shop


def random_shop(folder: Path, count: int, seed: int) -> Storefront:
    """A shop of so many products in random places, with prices from 0 to 99."""
    source = np.random.default_rng(seed)
    vectors = {f"p{number:04d}": row for number, row in enumerate(_exact(source, count, 4))}
    shop = Storefront(model_of(folder, vectors, {}))
    for number, product_id in enumerate(vectors):
        shop.offer(
            product_id,
            f"kind {number % 7}",
            brand=f"brand {source.integers(5)}",
            merchant=f"merchant {source.integers(6)}",
            price=int(source.integers(100)),
        )
    return shop


def _exact(source: np.random.Generator, count: int, dimensions: int) -> list[tuple[float, ...]]:
    """Numbers that float16 holds exactly."""
    numbers = source.integers(-64, 65, size=(count, dimensions)) / 64
    return [tuple(row.tolist()) for row in numbers]


def ids(products: Sequence[Product]) -> list[str]:
    """Which products, in order."""
    return [product.product_id for product in products]


def by_id(products: Sequence[Product]) -> dict[str, Product]:
    """The products by their ids."""
    return {product.product_id: product for product in products}


def viewed(*product_ids: str, **kinds: Any) -> Profile:
    """A shopper who looked at products, the last a minute ago, and did what ``kinds`` says."""
    first = NOW - (len(product_ids) + 1) * 60_000_000
    views = tuple(
        Touch(first + place * 60_000_000, number(product_id), 0, product_id)
        for place, product_id in enumerate(product_ids, start=1)
    )
    return Profile(first_seen=1, last_seen=NOW, views=views, **kinds)


def bought(*lines: tuple[str, float], **kinds: Any) -> Profile:
    """A shopper who bought products so many days ago."""
    found = [
        Purchase(
            NOW - int(days * DAY),
            number(f"{product_id} {days}"),
            0,
            product_id,
            f"o{days}",
            1,
            0,
            "",
        )
        for product_id, days in lines
    ]
    return Profile(first_seen=1, last_seen=NOW, purchases=tuple(sorted(found)), **kinds)


def searched(*queries: str, **kinds: Any) -> Profile:
    """A shopper who searched just now."""
    searches = tuple(Search(NOW, number(query), 0, query) for query in queries)
    return Profile(first_seen=1, last_seen=NOW, searches=searches, **kinds)


def number(event_id: str) -> int:
    """What stands for an event."""
    return int.from_bytes(event_hash(event_id), "big")
