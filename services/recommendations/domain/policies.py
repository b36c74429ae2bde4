"""Which scenario a call gets: the one it names, or that of an experiment's arm."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from services.recommendations.domain.scenario import NONE, Scenario, Scenarios
from services.shared.errors import ScenarioUnknown
from services.shared.experiments import Assignment, Experiments, assigned, with_stopped

DEFAULT: Final = "default"
"""Whose document the shops have that have none of their own."""


class Policy(NamedTuple):
    """What a call goes by."""

    name: str
    """Of the scenario that it asked for."""
    served: str
    """Of the scenario that it gets."""
    scenario: Scenario
    arms: tuple[Assignment, ...]
    """The experiments that the scenario takes part in, and where the shopper is in them."""


_READY: Final = (NONE, Experiments())


class Policies:
    """The scenarios of all shops; one without a document has the default one's."""

    def __init__(self) -> None:
        self._by_shop: Mapping[str, tuple[Scenarios, Experiments]] = {}
        self._stopped: dict[str, frozenset[tuple[str, str]]] = {}
        self._running: dict[str, Experiments] = {}
        """Of shops that have stopped arms, with these."""

    def put(self, documents: Mapping[str, Scenarios]) -> None:
        """From the next call on these are the shops', of which nothing is wrong."""
        self._by_shop = {shop_id: (each, each.running) for shop_id, each in documents.items()}
        for shop_id, arms in self._stopped.items():
            self._running[shop_id] = with_stopped(self._document(shop_id)[1], arms)

    def stop(self, shop_id: str, arms: frozenset[tuple[str, str]]) -> None:
        """From the next call on these arms' shoppers are served as the controls'.

        An arm is named by its experiment and itself. It is as if the shop's document said
        ``stopped`` of them, whichever document there will be: so for good, and beside all that
        were stopped before.
        """
        self._stopped[shop_id] = self._stopped.get(shop_id, frozenset()) | arms
        running = self._document(shop_id)[1]
        self._running[shop_id] = with_stopped(running, self._stopped[shop_id])

    def scenarios(self, shop_id: str) -> Scenarios:
        """The document that counts for a shop."""
        scenarios, _ = self._document(shop_id)
        return scenarios

    def of(self, shop_id: str, name: str, unit: str) -> Policy:
        """What a call of that shop goes by; ``unit`` is the shopper, as ``shop_id/subject``.

        A call that names no shopper, with an empty ``unit``, is in no experiment: all of them
        would be one and the same shopper. Raises ScenarioUnknown.
        """
        scenarios, running = self._document(shop_id)
        running = self._running.get(shop_id, running)
        asked = scenarios.of(name)
        if asked is None:
            raise ScenarioUnknown(f"there is no scenario {name!r}")
        if not asked.arms or not unit:
            return Policy(name, name, asked, ())
        arms = tuple(each for each in assigned(running, unit) if each.experiment in asked.arms)
        if not arms:
            return Policy(name, name, asked, ())
        other = asked.arms[arms[0].experiment].get(arms[0].served, name)
        return Policy(name, other, scenarios.of(other) or asked, arms)

    def _document(self, shop_id: str) -> tuple[Scenarios, Experiments]:
        return self._by_shop.get(shop_id) or self._by_shop.get(DEFAULT, _READY)
