"""What a call asks, put together: its scenario, its shopper, its catalogue, and its time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol

from attune.recommendations.v1 import recommendation_service_pb2 as pb

from services.recommendations.domain.ask import Ask
from services.recommendations.domain.budget import Budget, Costs, Turns
from services.recommendations.domain.catalog import Catalog
from services.recommendations.domain.catalogs import Catalogs
from services.recommendations.domain.exposure import Exposures
from services.recommendations.domain.filters.errors import BadExpression
from services.recommendations.domain.filters.expression import Expressions
from services.recommendations.domain.learned import Model
from services.recommendations.domain.placed import Placements
from services.recommendations.domain.policies import Policy
from services.recommendations.domain.rules import (
    Conditions,
    in_cart,
    left_out,
    pins_of,
    rows_of,
    rules_of,
    unready,
)
from services.recommendations.domain.shopper import Shopper, shopper_of
from services.recommendations.preparing import Preparing
from services.recommendations.shoppers import Known, Who
from services.shared.profile import Profile

UNHURRIED_SECONDS: Final = 60.0
"""Of an answer that nobody waits for."""


class Trending(Protocol):
    """What trends, by shop."""

    def of(self, shop_id: str) -> Sequence[tuple[str, float]]:
        """Product and score, best first."""
        ...


class Wanted(NamedTuple):
    """What a call says of its list, whichever method it is."""

    filter: str
    context: pb.Context
    limit: int
    budget: Budget
    excluded: Sequence[str] = ()
    anchors: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Questions:
    """Puts questions together; lives as long as the server."""

    catalogs: Catalogs
    trends: Trending
    now_micros: Callable[[], int]
    clock: Callable[[], float]
    """Seconds, for what is left of a deadline."""
    expressions: Expressions = field(default_factory=Expressions)
    preparing: Preparing = field(default_factory=Preparing)
    costs: defaultdict[str, Costs] = field(default_factory=lambda: defaultdict(Costs))
    """By shop."""
    exposures: Exposures = field(default_factory=Exposures)
    placements: Placements = field(default_factory=Placements)

    def budget(self, shop_id: str, seconds_left: float) -> Budget:
        """The time of a list that is begun now."""
        return Budget(self.costs[shop_id], seconds_left, self.clock)

    def unhurried(self) -> Budget:
        """The time of a list that nobody waits for; it teaches nothing about those of others."""
        return Budget(Costs(), UNHURRIED_SECONDS, self.clock)

    def turns(self, shop_id: str, seconds_left: float, count: int) -> Turns:
        """The time of a call for so many lists that begins now."""
        return Turns(self.costs[shop_id], seconds_left, self.clock, count=count)

    async def ready(self, who: Who, policy: Policy, wanted: Wanted) -> None:
        """Have computed what of a call's conditions takes long; other calls have their turn.

        Raises BadExpression for its filter, TooManyCalls, and TimeoutError where its time ends
        first: a list that leaves the filter out is not the one that was asked for.
        """
        catalog = self.catalogs.of(who.shop_id)
        try:
            slow = unready(policy.scenario, wanted.filter, self.expressions, catalog)
        except BadExpression as error:  # the scenario's own were read when it was taken
            raise error.in_field("filter") from None
        if slow:
            await self.preparing.prepare(who.shop_id, catalog, slow, within=wanted.budget.left)

    def ask(self, who: Who, policy: Policy, model: Model, known: Known, wanted: Wanted) -> Ask:
        """The question that a call puts, whose conditions are :meth:`ready`."""
        catalog = self.catalogs.of(who.shop_id)
        now, scenario, profile = self.now_micros(), policy.scenario, known.profile
        conditions = self._conditions(who, catalog, profile, wanted.context, now)
        exposure = self.exposures.rule(who.shop_id, policy, catalog, now)
        rules = rules_of(scenario, wanted.filter, catalog, conditions, exposure)
        excluded = rows_of([*wanted.excluded, *wanted.anchors], catalog)
        excluded |= left_out(scenario.leave_out, profile, catalog, now)
        start = dict.fromkeys(wanted.anchors or in_cart(profile))
        return Ask(
            catalog=catalog,
            model=model,
            placed=self.placements.of(model, catalog),
            scenario=scenario,
            rules=rules,
            profile=profile,
            cause=known.cause,
            limit=wanted.limit,
            now=now,
            trending=self.trends.of(who.shop_id),
            anchors=[row for each in start if (row := catalog.row(each)) is not None],
            recent=wanted.context.recent_product_ids,
            page=tuple(wanted.context.category_path),
            excluded=excluded,
            pins=pins_of(scenario, catalog, conditions),
            budget=wanted.budget,
        )

    def _conditions(
        self, who: Who, catalog: Catalog, profile: Profile, context: pb.Context, now: int
    ) -> Conditions:
        def shopper() -> Shopper:
            return shopper_of(
                profile,
                catalog,
                now=now,
                signed_in=bool(who.user_id),
                language=context.language,
                country=context.country,
                device=context.device,
            )

        return Conditions(self.expressions, catalog, shopper, now)
