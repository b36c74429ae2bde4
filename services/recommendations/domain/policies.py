"""Which scenario a call gets: the one it names, or that of an experiment's arm."""

from __future__ import annotations

from typing import Final, NamedTuple

from services.recommendations.domain.scenario import NONE, Scenario, Scenarios
from services.shared.errors import ScenarioUnknown
from services.shared.experiments import Assignment, Experiments, assigned


class Policy(NamedTuple):
    """What a call goes by."""

    name: str
    """Of the scenario that it asked for."""
    scenario: Scenario
    arms: tuple[Assignment, ...]
    """The experiments that the scenario takes part in, and where the shopper is in them."""


_NONE: Final = (NONE, Experiments())


class Policies:
    """The scenarios of all shops; a shop without a document has those that come ready."""

    def __init__(self) -> None:
        self._by_shop: dict[str, tuple[Scenarios, Experiments]] = {}

    def put(self, shop_id: str, scenarios: Scenarios) -> None:
        """From the next call on these are the shop's, of which nothing is wrong."""
        self._by_shop[shop_id] = scenarios, scenarios.running

    def drop(self, shop_id: str) -> None:
        """The shop has no document any more."""
        self._by_shop.pop(shop_id, None)

    def of(self, shop_id: str, name: str, unit: str) -> Policy:
        """What a call of that shop goes by; ``unit`` is the shopper, as ``shop_id/subject``.

        Raises ScenarioUnknown.
        """
        scenarios, running = self._by_shop.get(shop_id, _NONE)
        asked = scenarios.of(name)
        if asked is None:
            raise ScenarioUnknown(f"there is no scenario {name!r}")
        if not asked.arms:
            return Policy(name, asked, ())
        arms = tuple(each for each in assigned(running, unit) if each.experiment in asked.arms)
        for each in arms:
            other = scenarios.of(asked.arms[each.experiment].get(each.served, ""))
            if other is not None:
                return Policy(name, other, arms)
        return Policy(name, asked, arms)
