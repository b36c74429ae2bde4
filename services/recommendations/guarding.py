"""Sends a canary back by itself when a guard falls, and keeps in the registry what was compared.

The canary answers nobody from that moment on, whatever the registry does; the document follows as
soon as it can be changed. Servers that come to the same end are no trouble: the transition has
nothing to do for the second one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import msgspec
import structlog
from prometheus_client import Counter, Gauge

from services.recommendations.adapters.model_shelf import ModelShelf
from services.recommendations.adapters.registry import Registry, pair_of
from services.recommendations.domain.comparison import Compared
from services.recommendations.domain.guards import Sides, fallen, values
from services.recommendations.domain.transitions import stop_canary
from services.shared.aside import Aside

EVERY_SECONDS: Final = 1.0
CHANGE_SECONDS: Final = 20.0
"""What changing a document may take, others who change it at the same time included."""
NOTES_EVERY: Final = 15
"""Each so many looks, what was compared is kept."""

VALUES = Gauge(
    "canary_guard_value",
    "What the guards see, by side: shares, or seconds of the 99th percentile.",
    ["shop_id", "guard", "role"],
)
STOPS = Counter("canary_stops_total", "Canaries that were sent back here.", ["shop_id", "guard"])

_log = structlog.get_logger()


class Guarding:
    """See the module."""

    def __init__(
        self,
        registry: Registry,
        shelf: ModelShelf,
        *,
        outcomes: Callable[[str], Sides | None],
        compared: Callable[[str], Compared | None],
        process: str,
    ) -> None:
        """``process`` names this server in the registry, unlike any other."""
        self._registry = registry
        self._shelf = shelf
        self._outcomes = outcomes
        self._compared = compared
        self._process = process
        self._aside = Aside("guards")
        self._to_tell: dict[str, tuple[str, str]] = {}
        """Shop → the canary that was stopped, and why."""
        self._kept: dict[str, bytes] = {}

    async def run(self) -> None:
        """Look every second until cancelled."""
        looks = 0
        while True:
            await asyncio.sleep(EVERY_SECONDS)
            looks += 1
            for shop_id in self._shelf.shops:
                self.look(shop_id)
                await self._tell(shop_id)
                if looks % NOTES_EVERY == 0:
                    await self._keep(shop_id)

    def look(self, shop_id: str) -> None:
        """Stop the shop's canary here if a guard has fallen."""
        shelved, sides = self._shelf.of(shop_id), self._outcomes(shop_id)
        if shelved.canary is None or sides is None:
            return
        for guard, value in values(sides).items():
            VALUES.labels(shop_id, guard, "canary").set(value.canary)
            VALUES.labels(shop_id, guard, "served").set(value.served)
        found = fallen(sides, shelved.guards)
        if found is None:
            return
        version = shelved.canary.model.version
        self._shelf.stop_canary(shop_id, version)
        self._to_tell[shop_id] = version, found.why
        STOPS.labels(shop_id, found.guard).inc()
        _log.error(
            "canary_stopped", shop_id=shop_id, version=version, guard=found.guard, why=found.why
        )

    async def _tell(self, shop_id: str) -> None:
        """Have the document say so; tried again at the next look where the store is away."""
        if shop_id not in self._to_tell:
            return
        version, why = self._to_tell[shop_id]
        try:
            serving = await self._aside.do(
                lambda: self._registry.change(
                    shop_id,
                    lambda serving: stop_canary(serving, why, version),
                    who=f"server {self._process}",
                    what=f"stop canary {version}",
                    why=why,
                ),
                within=CHANGE_SECONDS,
            )
        except Exception as error:  # clients of stores raise what they like
            message = str(error) or type(error).__name__
            _log.warning("canary_stop_not_kept", shop_id=shop_id, version=version, message=message)
            return
        del self._to_tell[shop_id]
        self._shelf.document_follows(shop_id, serving.number)

    async def _keep(self, shop_id: str) -> None:
        """Keep what was compared, if there is more of it; another time where the store is away."""
        compared = self._compared(shop_id)
        if compared is None:
            return
        content = msgspec.json.encode(compared)
        if self._kept.get(shop_id) == content:
            return
        pair = pair_of(compared.served, compared.shadow)
        try:
            await self._aside.do(
                lambda: self._registry.keep_note(shop_id, pair, self._process, content),
                within=CHANGE_SECONDS,
            )
        except Exception as error:  # see above
            message = str(error) or type(error).__name__
            _log.warning("comparison_not_kept", shop_id=shop_id, message=message)
            return
        self._kept[shop_id] = content
