"""Merchants who are shown less than their share of the catalogue are lifted.

What a shop's lists show follows what is bought, and what is bought follows what is shown: a small
merchant who is never shown is never bought. So each scenario that says so keeps an account of how
often each merchant was shown, and lifts the products of those who fall short of their share of the
products that are for sale:

::

    lift  = strength · span · max(0, 1 - shown / share)
    shown = (count + P · share) / (total + P)

``span`` is the way from the average product to the best one, as for boosts; counts are halved
every ``half_life``. The prior P keeps a server that has just started from lifting everybody. A
merchant who has more than the share is left alone. It is a proportional controller of exposure by
merit (Morik, Singh, Hong and Joachims, "Controlling Fairness and Bias in Dynamic
Learning-to-Rank", SIGIR 2020), with the share of the catalogue for merit.

It moves products within twice the pool that is ranked for a list, and brings none from outside. Its
account is the process' own: each server evens out what it shows itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from services.recommendations.domain.candidates import Exposing
from services.recommendations.domain.catalog import Catalog
from services.recommendations.domain.columns import NOTHING, grown
from services.recommendations.domain.policies import Policy
from services.recommendations.domain.ranking import Ranked
from services.recommendations.domain.scenario import Exposure

PRIOR: Final = 100.0
"""How many products shown count as much as the share of the catalogue."""
MERCHANTS: Final = 10_000
"""How many are kept of one scenario; those shown least are forgotten first."""
HOUR: Final = 3_600_000_000
"""Microseconds."""
LARGEST: Final = 2.0**60
"""A weight of now beyond which all counts are brought back to it."""
MOST_HALVINGS: Final = 900.0
"""Nothing is left of any count by then; a float's exponent ends soon after."""


class Shown:
    """How often each merchant was shown by one scenario, older times counting less.

    Counts are weighted forward, by 2^(time / half life), so that nothing has to be touched as time
    goes by (Cormode et al., "Forward Decay", ICDE 2009).
    """

    def __init__(self, half_life_hours: float, now: int) -> None:
        """``now`` is microseconds since 1970, as for all that follow."""
        self.half_life_hours = half_life_hours
        self._since = now
        self._total = 0.0
        self._counts: dict[str, float] = {}

    def __len__(self) -> int:
        """How many merchants are kept."""
        return len(self._counts)

    def add(self, merchants: Iterable[str], now: int) -> None:
        """Products of these merchants, one each, are shown now."""
        weight = self._weight(now)
        if weight > LARGEST:
            self._counts = {name: count / weight for name, count in self._counts.items()}
            self._total, self._since, weight = self._total / weight, now, 1.0
        for merchant in merchants:
            self._counts[merchant] = self._counts.get(merchant, 0.0) + weight
            self._total += weight
        if len(self._counts) > MERCHANTS:
            ranked = sorted(self._counts.items(), key=lambda each: (-each[1], each[0]))
            self._counts = dict(ranked[: MERCHANTS * 3 // 4])

    def needs(self, shares: Mapping[str, float], now: int) -> list[float]:
        """Of each merchant from 0, who has the share of what was shown or more, to 1: never shown.

        Who has no share needs nothing.
        """
        prior, counts = PRIOR * self._weight(now), self._counts
        total = self._total + prior
        return [
            max(0.0, 1 - (counts.get(merchant, 0.0) + prior * share) / total / share)
            if share
            else 0.0
            for merchant, share in shares.items()
        ]

    def _weight(self, now: int) -> float:
        halvings = max(now - self._since, 0) / HOUR / self.half_life_hours
        return float(2.0 ** min(halvings, MOST_HALVINGS))


class Shares:
    """How many products for sale each merchant of one catalogue has, kept up with its changes."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._revision = -1
        self._codes: NDArray[np.int32] = np.zeros(0, dtype=np.int32)
        """[rows or more] the merchant's code, of rows that are for sale; else none."""
        self._counts: NDArray[np.int64] = np.zeros(0, dtype=np.int64)
        """By code."""

    def of(self, codes: Sequence[int]) -> list[float]:
        """The share of each of these merchants; 0 for none."""
        self._refresh()
        total = max(int(self._counts[NOTHING + 1 :].sum()), 1)
        return [float(self._counts[code] / total) if code else 0.0 for code in codes]

    def _refresh(self) -> None:
        catalog, revision = self._catalog, self._catalog.changes.revision
        if revision == self._revision:
            return
        changed = catalog.changes.since(self._revision) if self._revision >= 0 else None
        merchants, rows = catalog.products.merchants, catalog.rows
        if changed is None:
            self._codes = np.where(catalog.available[:rows], merchants.codes[:rows], NOTHING)
            self._counts = np.bincount(self._codes, minlength=len(merchants.values))
        else:
            if len(self._codes) < rows:
                self._codes = grown(self._codes, max(rows, 2 * len(self._codes)))
            if len(self._counts) < len(merchants.values):
                self._counts = grown(self._counts, 2 * len(merchants.values))
            now = np.where(catalog.available[changed], merchants.codes[changed], NOTHING)
            np.subtract.at(self._counts, self._codes[changed], 1)
            np.add.at(self._counts, now, 1)
            self._codes[changed] = now
        self._revision = revision


class Exposures:
    """The accounts of all scenarios that have an exposure rule; lives with the server."""

    def __init__(self) -> None:
        self._shown: dict[tuple[str, str], Shown] = {}
        self._shares: dict[str, tuple[Catalog, Shares]] = {}

    def rule(self, shop_id: str, policy: Policy, catalog: Catalog, now: int) -> Exposing | None:
        """What the scenario's exposure rule does to a pool now; None where it has none."""
        told = policy.scenario.exposure
        if not told.strength:
            return None
        return lifting(
            told.strength,
            self._account(shop_id, policy.served, told, now),
            catalog,
            self._shares_of(shop_id, catalog),
            now,
        )

    def add(
        self, shop_id: str, policy: Policy, catalog: Catalog, rows: Iterable[int], now: int
    ) -> None:
        """Products at these rows are shown now."""
        told = policy.scenario.exposure
        if told.strength:
            merchants = catalog.products.merchants
            account = self._account(shop_id, policy.served, told, now)
            account.add((merchants[row] for row in rows), now)

    def _account(self, shop_id: str, scenario: str, told: Exposure, now: int) -> Shown:
        """One with another half life is begun anew."""
        shown = self._shown.get((shop_id, scenario))
        if shown is None or shown.half_life_hours != told.half_life_hours:
            shown = self._shown[shop_id, scenario] = Shown(told.half_life_hours, now)
        return shown

    def _shares_of(self, shop_id: str, catalog: Catalog) -> Shares:
        known = self._shares.get(shop_id)
        if known is None or known[0] is not catalog:
            known = self._shares[shop_id] = catalog, Shares(catalog)
        return known[1]


def lifting(strength: float, shown: Shown, catalog: Catalog, shares: Shares, now: int) -> Exposing:
    """See the module; of equal products the one that was ranked higher stays before the other."""
    merchants = catalog.products.merchants

    def lift(pool: Sequence[Ranked], span: float) -> list[Ranked]:
        if not pool:
            return []
        rows = np.array([row for row, _ in pool], dtype=np.intp)
        codes, place = np.unique(merchants.codes[rows], return_inverse=True)
        known = codes.tolist()
        told = zip((merchants.values[code] for code in known), shares.of(known), strict=True)
        lifts = strength * span * np.array(shown.needs(dict(told), now))
        scores = np.array([score for _, score in pool]) + lifts[place]
        order = np.argsort(-scores, kind="stable")
        return list(map(Ranked, rows[order].tolist(), scores[order].tolist()))

    return lift
