"""The models that are in memory: loaded once, whatever their roles, and within a number of bytes.

What cannot be loaded is refused, counted, and tried again after a while: a bundle may have been
damaged on its way, and a store may be away for a moment.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal

import structlog
from prometheus_client import Counter, Gauge

from services.recommendations.adapters.bundle_cache import BundleCache
from services.recommendations.adapters.model_loading import Loaded, ModelLoader, expected_bytes
from services.recommendations.adapters.model_shelf import ModelShelf
from services.recommendations.domain.serving import Published, Role
from services.shared.errors import BundleRefused, StorageUnavailable

AGAIN_SECONDS: Final = 30.0

BYTES = Gauge("model_bytes", "About how much memory the models of a shop take.", ["shop_id"])
REFUSALS = Counter(
    "model_refusals_total", "Bundles that were not put to use, by why.", ["shop_id", "reason"]
)

_log = structlog.get_logger()

Reason = Literal["refused", "memory", "unavailable", "unexpected"]


class _NoRoom(Exception):
    """A model would take more memory than there is for all."""


class ModelKeeper:
    """See the module; one for all shops of a server."""

    def __init__(
        self,
        loader: ModelLoader,
        cache: BundleCache,
        shelf: ModelShelf,
        *,
        most_bytes: int,
        clock: Callable[[], float],
    ) -> None:
        """``clock`` tells seconds; only its differences count."""
        self._loader = loader
        self._cache = cache
        self._shelf = shelf
        self._most_bytes = most_bytes
        self._clock = clock
        self._loaded: dict[str, dict[Published, Loaded]] = {}
        self._refused: dict[tuple[str, Published], float] = {}
        self._one_at_a_time = asyncio.Lock()

    def there(self, shop_id: str, bundle: Published) -> Loaded | None:
        """A bundle's model, if it is in memory."""
        return self._loaded.get(shop_id, {}).get(bundle)

    async def have(self, shop_id: str, bundle: Published, role: Role) -> Loaded | None:
        """A bundle's model, loaded if need be; None where it is refused, or was a moment ago."""
        loaded = self.there(shop_id, bundle)
        if loaded is not None or self._clock() < self._refused.get((shop_id, bundle), 0.0):
            return loaded
        try:
            async with self._one_at_a_time:
                loaded = await self._load(shop_id, bundle)
        except Exception as error:  # one shop's bundle must not end the server
            self._refuse(shop_id, bundle, role, error)
            return None
        self._refused.pop((shop_id, bundle), None)
        self._loaded.setdefault(shop_id, {})[bundle] = loaded
        self._weigh(shop_id)
        return loaded

    async def retire(self, shop_id: str, wanted: Collection[Published]) -> None:
        """Let go of the models that are not ``wanted`` and that nothing on the shelf is."""
        used = set(self._shelf.of(shop_id).versions().values())
        loaded = self._loaded.get(shop_id, {})
        gone = [bundle for bundle in loaded if bundle not in wanted and bundle.version not in used]
        for bundle in gone:
            await self._loader.unload(loaded.pop(bundle))
        if gone:
            self._weigh(shop_id)
            with suppress(TimeoutError):  # then at the next time
                async with self._one_at_a_time:
                    await self._loader.tidy()

    async def _load(self, shop_id: str, bundle: Published) -> Loaded:
        folder = await self._loader.fetch(shop_id, bundle)
        await self._loader.shrink([folder, *(each.folder for each in self._all())])
        self._check_room(folder)
        try:
            return await self._loader.load(shop_id, folder, self._shelf.histories(shop_id))
        except BundleRefused:
            self._cache.drop(folder)
            raise

    def _check_room(self, folder: Path) -> None:
        taken, needed = sum(each.nbytes for each in self._all()), expected_bytes(folder)
        if taken + needed > self._most_bytes:
            raise _NoRoom(
                f"it would take {needed >> 20} MB; the others take {taken >> 20} of "
                f"{self._most_bytes >> 20}"
            )

    def _all(self) -> list[Loaded]:
        return [loaded for models in self._loaded.values() for loaded in models.values()]

    def _refuse(self, shop_id: str, bundle: Published, role: Role, error: Exception) -> None:
        reason = _reason_of(error)
        self._refused[shop_id, bundle] = self._clock() + AGAIN_SECONDS
        REFUSALS.labels(shop_id, reason).inc()
        _log.error(
            "model_refused",
            shop_id=shop_id,
            role=role.value,
            version=bundle.version,
            reason=reason,
            message=str(error) or type(error).__name__,
            exc_info=error if reason == "unexpected" else None,
        )

    def _weigh(self, shop_id: str) -> None:
        models: Mapping[Published, Loaded] = self._loaded.get(shop_id, {})
        BYTES.labels(shop_id).set(sum(each.nbytes for each in models.values()))


def _reason_of(error: Exception) -> Reason:
    match error:
        case BundleRefused():
            return "refused"
        case _NoRoom() | MemoryError():
            return "memory"
        case StorageUnavailable() | TimeoutError():
            return "unavailable"
        case _:
            return "unexpected"
