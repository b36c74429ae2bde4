"""From a bundle in the registry to a model that can answer at once, beside the event loop.

Fetching, proving, putting tables into rows and warming up take from a tenth of a second to half a
minute, in a thread; the event loop only gives rows to the model's products, in slices. Where a
thread computes in Python, the loop waits for its turn: :data:`TURN_SECONDS` says how long at most.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from prometheus_client import Histogram

from services.recommendations.adapters.bundle_cache import BundleCache
from services.recommendations.adapters.model import (
    NO_MODEL,
    Model,
    Proven,
    model_in_rows,
    model_of,
    prove,
)
from services.recommendations.adapters.registry import Registry
from services.recommendations.domain.catalog import Catalog
from services.recommendations.domain.catalogs import Catalogs
from services.recommendations.domain.serving import Published
from services.shared.aside import Aside
from services.shared.bundle import Bundle
from services.shared.errors import BundleRefused
from services.shared.garbage import give_memory_back
from services.shared.model_input import PAD, TARGETS, VIEW, Interaction, Vocabulary

FETCH_SECONDS: Final = 900.0
LOAD_SECONDS: Final = 300.0

TURN_SECONDS: Final = 0.000_2
"""How long a thread keeps the interpreter from the event loop while a model is loaded; Python's own
5 ms would come on top of a call each time it reads or computes."""

ROWS_AT_ONCE: Final = 2_000
"""Products that get rows before calls have their turn: about a millisecond."""

WARM_UPS: Final = 64
"""Histories that a model reads before it answers anybody."""

SLOWEST_SECONDS: Final = 0.1
"""A model that takes longer for one answer is refused: it would hold up all others."""

GROWS: Final = {"items.npy": 2.5, "vocabulary.json": 6.0, "repeat.json": 1.5, "card.html": 0.0}
"""How much more a file takes in memory than on disk, where it is not the same: float16 becomes
float32, a product's id an object. A rough sum: the models of a shop share ids, and loading takes
more for a moment."""

History = tuple[Sequence[Interaction], int]
"""What a shopper did, oldest first, and when it was read: microseconds."""

LOADING_SECONDS = Histogram(
    "model_loading_seconds",
    "From a bundle's place in the registry to a model that can answer.",
    buckets=(0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250),
)


class Loaded(NamedTuple):
    """A model in memory."""

    model: Model
    folder: Path
    """Where its bundle lies in the cache."""
    nbytes: int
    """About how much memory it takes."""
    catalog: Catalog
    rows: NDArray[np.int64]
    """What it took in the catalogue, to be given back when it is gone."""


class ModelLoader:
    """Loads one model at a time; lives as long as the server."""

    def __init__(self, registry: Registry, cache: BundleCache, catalogs: Catalogs) -> None:
        self._registry = registry
        self._cache = cache
        self._catalogs = catalogs
        self._aside = Aside("models")
        self._began: dict[str, str] = {}
        """Shop → SHA-256 of the vocabulary that its catalogue began with."""

    async def fetch(self, shop_id: str, bundle: Published) -> Path:
        """The bundle in the cache. Raises BundleRefused, StorageUnavailable and TimeoutError."""

        def fetch(to: Path) -> None:
            self._registry.fetch(shop_id, bundle, to)

        return await self._aside.do(
            lambda: self._cache.bundle(shop_id, bundle, fetch), within=FETCH_SECONDS
        )

    async def load(self, shop_id: str, folder: Path, histories: Sequence[History]) -> Loaded:
        """Prove the bundle in ``folder`` and have its model read ``histories``, or golden inputs.

        Raises BundleRefused and TimeoutError; then the catalogue is as before.
        """
        started = time.perf_counter()
        with _quick_turns():
            proven = await self._aside.do(lambda: prove(folder), within=LOAD_SECONDS)
            loaded = await self._placed(shop_id, folder, proven)
            told = histories or golden_histories(proven.bundle)
            try:
                await self._aside.do(lambda: warm_up(loaded.model, told), within=LOAD_SECONDS)
            except BaseException:
                await self.unload(loaded)
                raise
        LOADING_SECONDS.observe(time.perf_counter() - started)
        return loaded

    async def unload(self, loaded: Loaded) -> None:
        """Give back the rows of a model that no call uses any more."""
        for start in range(0, len(loaded.rows), ROWS_AT_ONCE):
            loaded.catalog.give_back_rows(loaded.rows[start : start + ROWS_AT_ONCE].tolist())
            await asyncio.sleep(0)

    async def tidy(self) -> None:
        """Let the system have what models that are gone have left. Raises TimeoutError."""
        await self._aside.do(give_memory_back, within=LOAD_SECONDS)

    async def shrink(self, keep: Sequence[Path]) -> None:
        """Have the cache within its bytes, ``keep`` aside. Raises TimeoutError."""
        await self._aside.do(lambda: self._cache.shrink(keep), within=LOAD_SECONDS)

    async def _placed(self, shop_id: str, folder: Path, proven: Proven) -> Loaded:
        vocabulary = proven.bundle.vocabulary
        name = proven.bundle.manifest.files["vocabulary.json"]
        if not self._catalogs.has(shop_id):
            self._began[shop_id] = name
        catalog = self._catalogs.begin(shop_id, vocabulary)
        nbytes = expected_bytes(folder)
        if self._began.get(shop_id) == name:
            model = model_of(proven, catalog.vocabulary)
            return Loaded(model, folder, nbytes, catalog, np.zeros(0, dtype=np.int64))
        rows = await _take_rows(catalog, vocabulary)
        size = int(rows.max()) + 1
        taken = rows[rows >= catalog.vector_rows]
        placed = Loaded(NO_MODEL, folder, nbytes, catalog, taken)
        try:
            model = await self._aside.do(
                lambda: model_in_rows(proven, rows, catalog.known_row, size), within=LOAD_SECONDS
            )
        except BaseException:
            await self.unload(placed)
            raise
        return placed._replace(model=model)


async def _take_rows(catalog: Catalog, vocabulary: Vocabulary) -> NDArray[np.int64]:
    """The rows [n] of padding and of all products, which nobody else gets from now on."""
    ids = vocabulary.product_ids
    rows = np.zeros(len(ids) + 1, dtype=np.int64)
    taken = 0
    try:
        for start in range(0, len(ids), ROWS_AT_ONCE):
            found = catalog.take_rows(ids[start : start + ROWS_AT_ONCE])
            taken += len(found)
            rows[start + 1 : taken + 1] = found
            await asyncio.sleep(0)
    except BaseException:
        catalog.give_back_rows(rows[1 : taken + 1].tolist())
        raise
    return rows


def warm_up(model: Model, histories: Sequence[History], *, slowest: float | None = None) -> None:
    """Have a model read histories, so that nobody is its first. Raises BundleRefused.

    ``slowest`` is how many seconds half of the answers may take, if not :data:`SLOWEST_SECONDS`.
    """
    limit = SLOWEST_SECONDS if slowest is None else slowest
    took = []
    for did, now in histories[:WARM_UPS]:
        started = time.perf_counter()
        try:
            model.read(did, now)
        except Exception as error:  # ONNX Runtime's own classes share no root
            raise BundleRefused(
                f"{model.version}: fails on a shopper's history: {error}"
            ) from error
        took.append(time.perf_counter() - started)
    if took and median(took) > limit:
        raise BundleRefused(
            f"{model.version}: takes {median(took):.2g} s for an answer, at most "
            f"{limit:g} are allowed"
        )


def golden_histories(bundle: Bundle) -> list[History]:
    """The golden inputs as histories of shoppers, a minute between two interactions.

    Their actions are any numbers that the graph takes. A search has no product, so where one stands
    with a product it becomes a view, as does what was only shown and would explain nothing.
    """
    golden, minute = bundle.golden, 60_000_000
    return [
        (
            [
                Interaction(
                    place * minute,
                    bundle.vocabulary.product_id(item),
                    action if action in TARGETS else VIEW,
                )
                for place, (item, action) in enumerate(zip(items, actions, strict=True))
                if item != PAD
            ],
            len(items) * minute,
        )
        for items, actions in zip(
            golden.items[:WARM_UPS].tolist(), golden.actions[:WARM_UPS].tolist(), strict=True
        )
    ]


def expected_bytes(folder: Path) -> int:
    """About how much memory a model takes whose bundle is in ``folder``."""
    return int(sum(GROWS.get(each.name, 1.0) * each.stat().st_size for each in folder.iterdir()))


@contextmanager
def _quick_turns() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(TURN_SECONDS)
    try:
        yield
    finally:
        sys.setswitchinterval(before)
