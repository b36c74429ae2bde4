"""Made-up shoppers who come back and mostly buy nothing; a few spend very much."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.attribution.domain.sums import Sums

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


class World(NamedTuple):
    """How shoppers of a shop are."""

    visits: float
    """More within the window after the first one, on average."""
    conversion: float
    """Of visits."""
    earlier: float
    """Purchases in the weeks before the first exposure, on average."""
    tail: float = 0.03
    """The share of purchases drawn from a Pareto distribution; the rest is lognormal."""
    tail_index: float = 2.2
    """From 2 down the variance is not finite; the skewness is not from 3 down."""


BROWSERS: Final = World(visits=1.5, conversion=0.06, earlier=0.3)
"""One in six buys within the window, and who has bought before says little."""
REGULARS: Final = World(visits=8.0, conversion=0.3, earlier=6.0)
"""A grocer's: they come again and again, and buy what they buy."""
WINDOW: Final = 14.0
"""Days."""
ARRIVALS: Final = 28.0
"""Days within which all shoppers come for the first time."""


@dataclass(frozen=True, slots=True)
class Shoppers:
    """N shoppers in the order of their first exposure; money in hundredths."""

    outcome: Integers
    """[N] spent within the window."""
    before: Integers
    """[N] spent in the weeks before."""
    visitors: Integers
    """[visits] whose each visit is, ascending."""
    spent: Integers
    """[visits] what is spent in it."""


def shoppers(random: np.random.Generator, number: int, world: World = BROWSERS) -> Shoppers:
    """Some come and buy more often than others, and some spend more each time."""
    keen = random.gamma(2.0, 0.5, number)
    rich = random.lognormal(0.0, 0.5, number)
    visits = 1 + random.poisson(world.visits * keen)
    visitors = np.repeat(np.arange(number), visits)
    bought = random.random(len(visitors)) < np.minimum(world.conversion * keen, 0.9)[visitors]
    spent = np.zeros(len(visitors), dtype=np.int64)
    spent[bought] = _spends(random, rich[visitors[bought]], world)
    customers = np.repeat(np.arange(number), random.poisson(world.earlier * keen**2 / 1.5))
    earlier = _spends(random, rich[customers], world)
    return Shoppers(
        outcome=_totals(visitors, spent, number),
        before=_totals(customers, earlier, number),
        visitors=visitors,
        spent=spent,
    )


def days_of(random: np.random.Generator, of: Shoppers, hasten: Floats | None = None) -> Floats:
    """[visits] when each visit is: shoppers arrive evenly, and come back within the window.

    ``hasten`` [N] is by how much each comes back sooner, 1: as they do.
    """
    later = random.uniform(0, WINDOW, len(of.visitors))
    if hasten is not None:
        later *= hasten[of.visitors]
    return np.linspace(0, ARRIVALS, len(of.outcome))[of.visitors] + later


def _spends(random: np.random.Generator, rich: Floats, world: World) -> Integers:
    """What each purchase [n] of shoppers so rich [n] costs."""
    usual = random.lognormal(3.2, 0.7, len(rich))
    rare = 60 * (1 + random.pareto(world.tail_index, len(rich)))
    amount = np.where(random.random(len(rich)) < world.tail, rare, usual) * rich
    return np.rint(100 * amount).astype(np.int64)


def _totals(owners: Integers, spends: Integers, number: int) -> Integers:
    return np.bincount(owners, spends, number).astype(np.int64)


def running_sums(
    arms: Integers, outcome: Integers, before: Integers, *, arm: int, every: int
) -> list[Sums]:
    """An arm's sums after each ``every`` units of all arms, which come in the order given.

    ``arms`` [N] says which is in which; outcomes are cut to what counts already.
    """
    columns = (
        np.ones_like(outcome),
        (outcome > 0).astype(np.int64),
        outcome,
        outcome**2,
        before,
        before**2,
        outcome * before,
    )
    total = np.cumsum(np.stack(columns) * (arms == arm), axis=1)
    return [Sums(*row) for row in total[:, every - 1 :: every].T.tolist()]
