"""Joins what a server's models are made of: one bundle for all shops, or a registry of many."""

from __future__ import annotations

import secrets
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from math import inf
from pathlib import Path
from random import Random
from typing import Any, Final, NamedTuple

from services.recommendations.adapters.bundle_cache import BundleCache
from services.recommendations.adapters.model import model_of, prove
from services.recommendations.adapters.model_keeping import ModelKeeper
from services.recommendations.adapters.model_loading import (
    ModelLoader,
    golden_histories,
    warm_up,
)
from services.recommendations.adapters.model_shelf import ALL_SHOPS, ModelShelf, OneModel, Shelf
from services.recommendations.adapters.model_watching import ModelWatch
from services.recommendations.adapters.registry import Registry
from services.recommendations.answering import Answering
from services.recommendations.domain.catalogs import Catalogs
from services.recommendations.guarding import Guarding
from services.recommendations.settings import Settings
from services.recommendations.shadowing import Shadowing
from services.shared.archive_storage import open_storage
from services.shared.model_input import Vocabulary

MEGABYTE: Final = 1 << 20


class Models(NamedTuple):
    """What answers, and the catalogues that it ranks."""

    answering: Answering
    catalogs: Catalogs
    settled: Callable[[], Awaitable[None]]
    """Returns once each shop has what answers it; the catalogue is to be read after that."""
    versions: Callable[[], Mapping[str, str]]
    """What answers now, by shop."""
    jobs: Callable[[], Sequence[Coroutine[Any, Any, None]]]
    """What has to run as long as the server does."""


def models_of(settings: Settings) -> Models:
    """What the settings name.

    Raises BundleRefused where one bundle is to answer and may not, BadSetting for a store that
    nobody knows, and StorageUnavailable for a cache that cannot be written.
    """
    return _of_registry(settings) if settings.registry else _of_bundle(Path(settings.bundle))


def _of_bundle(folder: Path) -> Models:
    proven = prove(folder)
    vocabulary = proven.bundle.vocabulary
    model = model_of(proven, vocabulary)
    warm_up(model, golden_histories(proven.bundle), slowest=inf)  # there is no other to answer
    shelf = OneModel(model)

    async def settled() -> None:
        """It is there from the beginning."""

    answering = _answering(shelf, Shadowing(shelf))
    versions = {ALL_SHOPS: proven.bundle.manifest.version}
    return Models(answering, Catalogs(vocabulary), settled, lambda: versions, lambda: ())


def _of_registry(settings: Settings) -> Models:
    shops = settings.served_shops
    registry = Registry(open_storage(settings.registry), lambda: time.time_ns() // 1000)
    cache = BundleCache(Path(settings.model_cache), most_bytes=settings.model_cache_mb * MEGABYTE)
    catalogs, shelf = Catalogs(Vocabulary(()), shops), ModelShelf(shops)
    keeper = ModelKeeper(
        ModelLoader(registry, cache, catalogs),
        cache,
        shelf,
        most_bytes=settings.model_memory_mb * MEGABYTE,
        clock=time.monotonic,
    )
    watch = ModelWatch(
        registry, cache, keeper, shelf, poll_seconds=settings.registry_poll_ms / 1000
    )
    shadowing = Shadowing(shelf)
    answering = _answering(shelf, shadowing)
    guarding = Guarding(
        registry,
        shelf,
        outcomes=answering.outcomes,
        compared=shadowing.seen,
        process=secrets.token_hex(6),
    )
    return Models(
        answering,
        catalogs,
        watch.settled,
        lambda: {shop_id: shelf.of(shop_id).served.version for shop_id in shops},
        lambda: (watch.run(), shadowing.run(), guarding.run()),
    )


def _answering(shelf: Shelf, shadowing: Shadowing) -> Answering:
    draw = Random()  # noqa: S311 - which answers are compared is no secret
    return Answering(shelf, shadowing, random=draw, clock=time.perf_counter)
