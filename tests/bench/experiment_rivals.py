"""What else one might do, on the same shoppers, and how its alarms are counted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

from services.attribution.domain.difference import ACTIVE, Difference, difference
from services.attribution.domain.sums import Sums
from services.attribution.domain.verdict import ALPHA
from tests.experiment_worlds import (
    ARRIVALS,
    REGULARS,
    WINDOW,
    Floats,
    Integers,
    Shoppers,
    days_of,
    running_sums,
    shoppers,
)

SHOPPERS: Final = 20_000
EVERY: Final = 50
"""Shoppers from look to look."""
NORMAL: Final = 1.959964
"""The quantile of the normal distribution for 5 % on two sides."""
HASTENED: Final = 0.8
"""Of the time until each later visit, where an arm only makes shoppers come back sooner."""
Random = np.random.Generator


def dealt(random: Random, number: int, shares: Sequence[float] = (0.5, 0.5)) -> Integers:
    """Each shopper's arm."""
    return np.searchsorted(np.cumsum(shares)[:-1], random.random(number), side="right")


def ever_differs(
    arm: Sequence[Sums], control: Sequence[Sums], *, planned: float, alpha: float = ALPHA
) -> bool:
    """Whether our interval leaves out 0 at any look."""
    looks = zip(arm, control, strict=True)
    return any(leaves_out_0(difference(*each, planned=planned, alpha=alpha)) for each in looks)


def leaves_out_0(found: Difference | None) -> bool:
    """Whether a look decides."""
    return found is not None and (found.low > 0 or found.high < 0)


def t_test_ever_differs(arm: Sequence[Sums], control: Sequence[Sums]) -> bool:
    """Whether Welch's t-test finds something at any look, from where we judge, too."""
    return any(
        abs(t_statistic(one, other)) > NORMAL
        for one, other in zip(arm, control, strict=True)
        if min(one.active, other.active) >= ACTIVE
    )


def t_statistic(arm: Sums, control: Sums) -> float:
    """The difference of the means in standard errors."""
    (mean, error), (beside, its_error) = (_mean_and_square(each) for each in (arm, control))
    return (mean - beside) / math.sqrt(error + its_error)


def _mean_and_square(sums: Sums) -> tuple[float, float]:
    """The mean and the square of its standard error."""
    mean = sums.outcome / sums.shoppers
    return mean, (sums.outcome_squares / sums.shoppers - mean**2) / (sums.shoppers - 1)


def t_test_at_every_look(random: Random, cap: int) -> bool:
    """Whether a t-test at each look ever finds a difference where there is none."""
    of, arms = shoppers(random, SHOPPERS), dealt(random, SHOPPERS)
    outcome = np.minimum(of.outcome, cap)
    nothing = np.zeros_like(outcome)
    arm, control = (running_sums(arms, outcome, nothing, arm=each, every=EVERY) for each in (1, 0))
    return t_test_ever_differs(arm, control)


def visits_as_units(random: Random) -> bool:
    """Whether our sequence ever finds one where each visit counts as if it stood alone."""
    number = SHOPPERS // 5
    of, arms = shoppers(random, number, REGULARS), dealt(random, number)
    order = np.argsort(days_of(random, of))
    spent = np.minimum(of.spent, int(np.quantile(of.spent, 0.999)))[order]
    nothing, theirs = np.zeros_like(spent), arms[of.visitors[order]]
    every = EVERY * len(spent) // number
    arm, control = (running_sums(theirs, spent, nothing, arm=each, every=every) for each in (1, 0))
    return ever_differs(arm, control, planned=len(spent))


def growing_outcomes(random: Random, cap: int) -> bool:
    """Whether an arm that only hastens purchases is called another by spends up to each day."""
    of, arms, days = _hastened(random)
    number = len(of.outcome)
    for day in range(2, int(ARRIVALS + WINDOW) + 1):
        there = np.linspace(0, ARRIVALS, number) <= day
        done = days <= day
        spent = np.bincount(of.visitors[done], of.spent[done], number).astype(np.int64)
        outcome, before = np.minimum(spent, cap)[there], np.minimum(of.before, cap)[there]
        (arm,), (control,) = (
            running_sums(arms[there], outcome, before, arm=each, every=len(outcome))
            for each in (1, 0)
        )
        if leaves_out_0(difference(arm, control, planned=number, alpha=ALPHA)):
            return True
    return False


def closed_windows(random: Random, cap: int) -> bool:
    """Whether it is called another by what is spent within the window, which is the same."""
    of, arms, _ = _hastened(random)
    outcome, before = np.minimum(of.outcome, cap), np.minimum(of.before, cap)
    arm, control = (running_sums(arms, outcome, before, arm=each, every=EVERY) for each in (1, 0))
    return ever_differs(arm, control, planned=len(outcome))


def _hastened(random: Random) -> tuple[Shoppers, Integers, Floats]:
    """Shoppers, their arms, and when each visit is: sooner in the arm than in the control."""
    number = SHOPPERS // 5
    of, arms = shoppers(random, number, REGULARS), dealt(random, number)
    return of, arms, days_of(random, of, np.where(arms == 1, HASTENED, 1.0))
