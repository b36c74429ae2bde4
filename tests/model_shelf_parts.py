"""A registry with tiny bundles and what keeps a server's models, without a server."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

from prometheus_client import REGISTRY

from services.recommendations.adapters.bundle_cache import BundleCache
from services.recommendations.adapters.model_keeping import ModelKeeper
from services.recommendations.adapters.model_loading import ModelLoader
from services.recommendations.adapters.model_shelf import ModelShelf
from services.recommendations.adapters.model_watching import ModelWatch
from services.recommendations.adapters.registry import Registry
from services.recommendations.domain.catalogs import Catalogs
from services.recommendations.domain.serving import Published, Serving
from services.recommendations.domain.transitions import Transition, promote, publish
from services.shared.archive_storage import LocalStorage
from services.shared.errors import StorageUnavailable
from services.shared.model_input import Vocabulary
from tests.tiny_bundle import make_bundle, seal
from tests.waiting import eventually_async

SECONDS = 60.0
VECTORS = {"mug": (1.0, 0.0), "cup": (1.0, 0.25), "lamp": (0.0, 1.0)}
OTHERS = {"rake": (0.5, 0.5), "lamp": (0.0, 1.0), "mug": (1.0, 0.0), "spade": (0.5, 0.25)}
"""Another vocabulary, in another order."""


class FlakyStorage(LocalStorage):
    """A folder that can be away."""

    is_away = False
    says: Exception = StorageUnavailable("the store is away")

    def read(self, path: str) -> bytes:
        self._check()
        return super().read(path)

    def fetch(self, path: str, to: Path) -> None:
        self._check()
        super().fetch(path, to)

    def create(self, path: str, content: bytes) -> bool:
        self._check()
        return super().create(path, content)

    def put(self, path: str, content: bytes) -> None:
        self._check()
        super().put(path, content)

    def _check(self) -> None:
        if self.is_away:
            raise self.says


class Parts:
    """What a server has of models, on a registry of its own."""

    def __init__(
        self, folder: Path, *, shops: Sequence[str] = ("demo",), most_mb: int = 100
    ) -> None:
        self.folder = folder
        self.storage = FlakyStorage(folder / "registry")
        self.registry = Registry(self.storage, lambda: 0)
        self.cache = BundleCache(folder / "cache", most_bytes=1 << 30)
        self.catalogs = Catalogs(Vocabulary(()), shops)
        self.shelf = ModelShelf(shops)
        self.keeper = ModelKeeper(
            ModelLoader(self.registry, self.cache, self.catalogs),
            self.cache,
            self.shelf,
            most_bytes=most_mb << 20,
            clock=time.monotonic,
        )
        self.watch = ModelWatch(
            self.registry, self.cache, self.keeper, self.shelf, poll_seconds=0.01
        )

    def bundle(
        self, version: str, vectors: Mapping[str, Sequence[float]] = VECTORS, **told: Any
    ) -> Path:
        """A tiny bundle of this version."""
        folder = make_bundle(self.folder / "made" / version, vectors, **told)
        seal(folder, version=version)
        return folder

    def publish(self, folder: Path, shop_id: str = "demo") -> Published:
        told = self.registry.upload(shop_id, folder)
        self.change(partial(publish, bundle=told), shop_id)
        return told

    def change(self, transition: Transition, shop_id: str = "demo") -> Serving:
        return self.registry.change(shop_id, transition, who="test", what="test", why="")

    def versions(self, shop_id: str = "demo") -> dict[str, str]:
        """What is in use, by role."""
        return {role.value: name for role, name in self.shelf.of(shop_id).versions().items()}

    async def until(self, shop_id: str = "demo", **versions: str) -> None:
        """Return once just these are in use."""

        async def so() -> bool:
            return self.versions(shop_id) == versions

        await eventually_async(so, within=SECONDS)

    async def looks(self) -> None:
        """Return after the documents were read anew, and twice more."""
        reads = 0
        before = self.registry.serving

        def counted(shop_id: str) -> Serving:
            nonlocal reads
            reads += 1
            return before(shop_id)

        self.registry.serving = counted  # type: ignore[method-assign]  # a spy

        async def enough() -> bool:
            return reads >= 3

        await eventually_async(enough, within=SECONDS)
        self.registry.serving = before  # type: ignore[method-assign]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Parts]:
        """The documents are followed."""
        task = asyncio.create_task(self.watch.run())
        try:
            async with asyncio.timeout(SECONDS):
                settled = asyncio.create_task(self.watch.settled())
                await asyncio.wait((settled, task), return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                await task
            yield self
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def prepare(folder: Path) -> Path:
    """A registry with three bundles of which ``a`` is served; ``c`` has other products."""
    parts = Parts(folder)
    for version, vectors in (("a", VECTORS), ("b", VECTORS), ("c", OTHERS)):
        parts.publish(parts.bundle(version, vectors))
    parts.change(partial(promote, version="a"))
    return parts.folder


def refusals(reason: str, shop_id: str = "demo") -> float:
    """How often the server has refused a model for that reason."""
    labels = {"shop_id": shop_id, "reason": reason}
    return REGISTRY.get_sample_value("model_refusals_total", labels) or 0.0
