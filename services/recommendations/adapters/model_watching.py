"""Follows the registry's documents: what a shop's document names gets onto the shelf.

Each shop is looked after by a task of its own, which reads the document every few seconds. While
the registry is away everything stays as it is; a server that starts meanwhile goes by the document
that it saw last, if its cache has outlived it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

import structlog
from prometheus_client import Counter

from services.recommendations.adapters.bundle_cache import BundleCache
from services.recommendations.adapters.model import NO_MODEL
from services.recommendations.adapters.model_keeping import ModelKeeper
from services.recommendations.adapters.model_loading import Loaded
from services.recommendations.adapters.model_shelf import ModelShelf, Shelved
from services.recommendations.adapters.registry import Registry
from services.recommendations.domain.serving import NOTHING, Published, Role, Serving
from services.shared.aside import Aside
from services.shared.errors import AttuneError, StorageUnavailable

READ_SECONDS: Final = 10.0
"""What reading a document may take."""

FAILURES = Counter("registry_read_failures_total", "Documents that could not be read.", ["shop_id"])

_log = structlog.get_logger()

Wanted = Mapping[Role, Published]


class ModelWatch:
    """See the module."""

    def __init__(
        self,
        registry: Registry,
        cache: BundleCache,
        keeper: ModelKeeper,
        shelf: ModelShelf,
        *,
        poll_seconds: float,
    ) -> None:
        self._registry = registry
        self._cache = cache
        self._keeper = keeper
        self._shelf = shelf
        self._poll_seconds = poll_seconds
        self._unsettled = set(shelf.shops)
        self._all_settled = asyncio.Event()

    async def settled(self) -> None:
        """Return once each shop's document was read, and what it names is in use or refused."""
        await self._all_settled.wait()

    async def run(self) -> None:
        """Look after all shops until cancelled."""
        async with asyncio.TaskGroup() as group:
            for shop_id in self._shelf.shops:
                group.create_task(self._look_after(shop_id))

    async def _look_after(self, shop_id: str) -> None:
        aside, is_away = Aside("registry"), False
        while True:
            serving = await self._read(shop_id, aside, was_away=is_away)
            is_away = serving is None
            if serving is None and shop_id in self._unsettled:
                serving = self._cache.remembered(shop_id)
            if serving is not None:
                await self._bring(shop_id, serving)
                self._settle(shop_id)
            await asyncio.sleep(self._poll_seconds)

    async def _read(self, shop_id: str, aside: Aside, *, was_away: bool) -> Serving | None:
        """The shop's document; None where it cannot be had, which is logged once."""

        def read() -> Serving:
            serving = self._registry.serving(shop_id)
            if serving != NOTHING:
                self._cache.remember(shop_id, serving)
            return serving

        try:
            serving = await aside.do(read, within=READ_SECONDS)
        except Exception as error:  # clients of stores raise what they like
            FAILURES.labels(shop_id).inc()
            if not was_away:
                code = error.code if isinstance(error, AttuneError) else StorageUnavailable.code
                message = str(error) or type(error).__name__
                _log.error("registry_not_read", shop_id=shop_id, code=code, message=message)
            return None
        if was_away:
            _log.info("registry_read_again", shop_id=shop_id)
        return serving

    def _settle(self, shop_id: str) -> None:
        self._unsettled.discard(shop_id)
        if not self._unsettled:
            self._all_settled.set()

    async def _bring(self, shop_id: str, serving: Serving) -> None:
        """Go over to what a document says: at once to what is in memory, then role by role."""
        wanted = self._wanted(shop_id, serving)
        self._shelf.put(shop_id, self._at_once(shop_id, serving, wanted))
        await self._keeper.retire(shop_id, wanted.values())
        for role, bundle in wanted.items():
            loaded = await self._keeper.have(shop_id, bundle, role)
            if loaded is None and role is Role.SERVED:
                loaded = await self._former(shop_id, serving)
            # A guard may have stopped the canary while it was loaded.
            if loaded is not None and role in self._wanted(shop_id, serving):
                shelved = self._shelf.of(shop_id).having(role, loaded.model, serving)
                self._shelf.put(shop_id, shelved)
        await self._keeper.retire(shop_id, self._wanted(shop_id, serving).values())

    def _wanted(self, shop_id: str, serving: Serving) -> Wanted:
        """The bundles that have something to do, but for a canary that was stopped here."""
        found = {}
        for role, version in serving.roles().items():
            bundle = serving.of(version)
            if role is Role.CANARY and self._shelf.is_stopped(shop_id, version, serving.number):
                continue
            if bundle is not None:
                found[role] = bundle
        return found

    def _at_once(self, shop_id: str, serving: Serving, wanted: Wanted) -> Shelved:
        """Without what has nothing to do any more, and with what is in memory, on new terms."""
        before = self._shelf.of(shop_id)
        shelved = before._replace(guards=serving.guards, canary=None, shadow=None)
        if serving.served is None:
            shelved = shelved._replace(served=NO_MODEL)
        for role, bundle in wanted.items():
            loaded = self._keeper.there(shop_id, bundle)
            if loaded is not None:
                shelved = shelved.having(role, loaded.model, serving)
        return shelved

    async def _former(self, shop_id: str, serving: Serving) -> Loaded | None:
        """The former bundle's model, where nothing answers as the one to be served is refused."""
        former = serving.of(serving.former) if serving.former is not None else None
        if former is None or self._shelf.of(shop_id).served is not NO_MODEL:
            return None
        return await self._keeper.have(shop_id, former, Role.SERVED)
