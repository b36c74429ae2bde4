"""What each shop has in use, behind one reference: read by every call, replaced as a whole."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol

import structlog
from prometheus_client import Counter, Gauge, Info

from services.recommendations.adapters.model import NO_MODEL, Model
from services.recommendations.adapters.model_loading import WARM_UPS, History
from services.recommendations.domain.serving import Canary, Guards, Role, Serving, Shadow
from services.shared.model_input import Interaction

MODEL = Info("model", "The bundles that are in use, by shop and role.", ["shop_id", "role"])
SWAPS = Counter("model_swaps_total", "Bundles that took over a role.", ["shop_id", "role"])
SHARE = Gauge("canary_share", "Share of the shoppers whom the canary answers.", ["shop_id"])

ALL_SHOPS: Final = ""
"""In metrics, where one bundle answers for all of them."""

_log = structlog.get_logger()


class OnCanary(NamedTuple):
    """A model that answers some shoppers."""

    model: Model
    terms: Canary


class InShadow(NamedTuple):
    """A model whose answers nobody sees."""

    model: Model
    terms: Shadow


class Shelved(NamedTuple):
    """What a shop has in use.

    A call holds it for no longer than until it waits for something: a row of a model that is gone
    may be another product's.
    """

    served: Model = NO_MODEL
    canary: OnCanary | None = None
    shadow: InShadow | None = None
    guards: Guards = Guards()

    def versions(self) -> dict[Role, str]:
        """By role, of those roles that are taken."""
        taken = {Role.SERVED: self.served, Role.CANARY: self.canary, Role.SHADOW: self.shadow}
        return {
            role: each.version if isinstance(each, Model) else each.model.version
            for role, each in taken.items()
            if each is not None and each is not NO_MODEL
        }

    def having(self, role: Role, model: Model, serving: Serving) -> Shelved:
        """With a model in a role, on the document's terms."""
        if role is Role.CANARY and serving.canary is not None:
            return self._replace(canary=OnCanary(model, serving.canary))
        if role is Role.SHADOW and serving.shadow is not None:
            return self._replace(shadow=InShadow(model, serving.shadow))
        return self._replace(served=model)


EMPTY: Final = Shelved()


class Stopped(NamedTuple):
    """A canary that a guard has stopped."""

    version: str
    until: int | None
    """The number of the document that says so; None before there is one."""


class Shelf(Protocol):
    """Where the models of shops are."""

    def of(self, shop_id: str) -> Shelved:
        """What a shop has in use now."""
        ...

    def remember(self, shop_id: str, did: Sequence[Interaction], now: int) -> None:
        """A history that was read, for the next model to warm up with."""
        ...


class OneModel:
    """The model of one bundle, for all shops and for ever."""

    def __init__(self, model: Model) -> None:
        self._shelved = Shelved(model)
        MODEL.labels(ALL_SHOPS, Role.SERVED.value).info({"version": model.version})

    def of(self, shop_id: str) -> Shelved:  # noqa: ARG002 - they all have the same
        """See :class:`Shelf`."""
        return self._shelved

    def remember(self, shop_id: str, did: Sequence[Interaction], now: int) -> None:
        """See :class:`Shelf`; there is no next one."""


class ModelShelf:
    """The models of shops that have some of their own."""

    def __init__(self, shops: Sequence[str]) -> None:
        self.shops: Final = tuple(shops)
        self._shelved = dict.fromkeys(shops, EMPTY)
        self._histories = {shop_id: deque[History](maxlen=WARM_UPS) for shop_id in shops}
        self._stopped: dict[str, Stopped] = {}

    def of(self, shop_id: str) -> Shelved:
        """See :class:`Shelf`."""
        return self._shelved.get(shop_id, EMPTY)

    def remember(self, shop_id: str, did: Sequence[Interaction], now: int) -> None:
        """See :class:`Shelf`."""
        histories = self._histories.get(shop_id)
        if histories is not None:
            histories.append((did, now))

    def histories(self, shop_id: str) -> Sequence[History]:
        """The newest that were read."""
        return tuple(self._histories[shop_id])

    def put(self, shop_id: str, shelved: Shelved) -> None:
        """Have a shop use this from now on."""
        before = self._shelved[shop_id].versions()
        after = shelved.versions()
        self._shelved[shop_id] = shelved
        SHARE.labels(shop_id).set(shelved.canary.terms.share if shelved.canary else 0.0)
        for role in Role:
            old, new = before.get(role), after.get(role)
            if old == new:
                continue
            if new is None:
                MODEL.remove(shop_id, role.value)
            else:
                MODEL.labels(shop_id, role.value).info({"version": new})
                SWAPS.labels(shop_id, role.value).inc()
            _log.info("model_swapped", shop_id=shop_id, role=role.value, before=old, after=new)

    def stop_canary(self, shop_id: str, version: str) -> None:
        """Have no shopper answered by this canary from now on, whatever the document says."""
        self._stopped[shop_id] = Stopped(version, None)
        canary = self._shelved[shop_id].canary
        if canary is not None and canary.model.version == version:
            self.put(shop_id, self._shelved[shop_id]._replace(canary=None))

    def document_follows(self, shop_id: str, number: int) -> None:
        """The document of this number says that the canary is stopped; from it on, go by it."""
        self._stopped[shop_id] = self._stopped[shop_id]._replace(until=number)

    def is_stopped(self, shop_id: str, version: str, number: int) -> bool:
        """Whether this canary was stopped here, and the document of this number knows no better."""
        stopped = self._stopped.get(shop_id)
        if stopped is None or stopped.version != version:
            return False
        return stopped.until is None or number < stopped.until
