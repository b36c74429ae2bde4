"""A scenario's conditions, applied to a catalogue for one shopper."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from services.recommendations.domain.candidates import Exposing, Lift, Rules
from services.recommendations.domain.catalog import Catalog
from services.recommendations.domain.filters.expression import Expression, Expressions
from services.recommendations.domain.rerank import Caps
from services.recommendations.domain.scenario import LeaveOut, Scenario, Scenarios
from services.recommendations.domain.shopper import STRANGER, Shopper
from services.shared.profile import Profile, bought

MICROSECONDS_A_DAY: Final = 86_400_000_000


class Conditions:
    """Conditions in CEL for one shopper, who is read from the profile only if one asks."""

    def __init__(
        self,
        expressions: Expressions,
        catalog: Catalog,
        shopper: Callable[[], Shopper],
        now: int,
    ) -> None:
        self._expressions, self._catalog, self._now = expressions, catalog, now
        self._shopper, self._read = shopper, STRANGER

    def mask(self, text: str) -> NDArray[np.bool_]:
        """[rows] where a condition is true. Raises BadExpression."""
        expression = self._expressions.of(text)
        if expression.asks_shopper and self._read is STRANGER:
            self._read = self._shopper()
        return expression.mask(self._catalog, self._read, self._now)


def rules_of(
    scenario: Scenario,
    wanted: str,
    catalog: Catalog,
    conditions: Conditions,
    exposure: Exposing | None = None,
) -> Rules:
    """What acts on all candidates; ``wanted`` is the caller's filter, beside the scenario's own.

    Raises BadExpression.
    """
    allowed = catalog.available[: catalog.rows]
    for text in (scenario.filter, wanted):
        if text:
            allowed = allowed & conditions.mask(text)
    variety = scenario.variety
    return Rules(
        allowed,
        [Lift(conditions.mask(boost.when), boost.by) for boost in scenario.boosts],
        variety.strength,
        Caps(variety.category, variety.brand, variety.merchant),
        exposure,
    )


def warmed(
    scenarios: Scenarios, expressions: Expressions, catalog: Catalog, now: int
) -> Iterator[None]:
    """Compute all conditions of a document for a catalogue, in steps of milliseconds."""
    for scenario in scenarios.scenarios.values():
        for _, condition in scenario.conditions():
            expression = expressions.of(condition)
            yield from expression.prepare(catalog)
            expression.warm(catalog, now)
            yield


def unready(
    scenario: Scenario, wanted: str, expressions: Expressions, catalog: Catalog
) -> list[Expression]:
    """The conditions of a call that must be prepared first, as computing them takes long.

    ``wanted`` is the caller's filter. Raises BadExpression.
    """
    texts = [condition for _, condition in scenario.conditions()]
    found = map(expressions.of, [*texts, wanted] if wanted else texts)
    return [expression for expression in found if not expression.is_ready(catalog)]


def pins_of(scenario: Scenario, catalog: Catalog, conditions: Conditions) -> list[tuple[int, int]]:
    """(place, row) of the products that are pinned for this shopper, in the document's order."""
    found = [(pin, catalog.row(pin.product)) for pin in scenario.pins]
    return [
        (pin.place, row)
        for pin, row in found
        if row is not None and (not pin.when or conditions.mask(pin.when)[row])
    ]


def unwanted(profile: Profile, catalog: Catalog) -> set[int]:
    """Rows of what this shopper has said not to be interested in."""
    return rows_of({each.product_id for each in profile.not_interested}, catalog)


def left_out(told: LeaveOut, profile: Profile, catalog: Catalog, now: int) -> set[int]:
    """Rows of what the scenario leaves out for this shopper."""
    products: set[str] = set()
    if told.bought_days:
        since = now - told.bought_days * MICROSECONDS_A_DAY
        products |= {line.product_id for line in bought(profile) if line.at >= since}
    if told.in_cart:
        products |= in_cart(profile).keys()
    return rows_of(products, catalog)


def in_cart(profile: Profile) -> dict[str, int]:
    """What is in the cart now, and how much: put in and taken out since the last order."""
    since = max((line.at for line in profile.purchases), default=-1)
    held: dict[str, int] = {}
    for each in profile.carts:
        if each.at > since:
            held[each.product_id] = max(held.get(each.product_id, 0) + each.quantity, 0)
    return {product_id: quantity for product_id, quantity in held.items() if quantity}


def rows_of(product_ids: Iterable[str], catalog: Catalog) -> set[int]:
    """The rows of those that are listed."""
    found = (catalog.row(product_id) for product_id in product_ids)
    return {row for row in found if row is not None}
