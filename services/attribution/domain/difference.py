"""How far an arm's mean is from the control's, with what was known before taken out of it.

CUPED (Deng, Xu, Kohavi and Walker, "Improving the sensitivity of online controlled experiments by
utilizing pre-experiment data", WSDM 2013): of a shopper's outcome Y is subtracted what the
spend X of before the first exposure foretells of it. ::

    δ̂ = (Ȳ₁ - Ȳ₀) - θ̂ (X̄₁ - X̄₀)        θ̂ = cov(X, Y) / var(X), within arms, both together

θ̂ is the estimate from all units so far. This leaves the sequence valid: X̄₁ - X̄₀ has the mean 0,
as nobody knew the arm before, and shrinks as √(ln ln t / t), and so does θ̂ - θ; what the estimate
adds is their product, of the order ln ln t / t, which is nothing beside the width √(ln t / t). A
θ̂ fixed beforehand would be valid for any t and asks for data of before in the same form.
"""

from __future__ import annotations

import math
from typing import Final

import msgspec

from services.attribution.domain.sequence import mixture, p_value, reach
from services.attribution.domain.sums import Sums

ACTIVE: Final = 100
"""Shoppers with an outcome other than 0 that both arms must have before a difference is judged."""


class Difference(msgspec.Struct, frozen=True, gc=False):
    """An arm's mean less the control's, in the units of the outcome."""

    estimate: float
    low: float
    high: float
    p: float
    """At this look alone; the least of all looks is the always-valid p-value."""
    explained: float
    """The share of the variance that CUPED took out."""


def difference(arm: Sums, control: Sums, *, planned: float, alpha: float) -> Difference | None:
    """The difference and its interval at this moment; None while there is too little to judge.

    ``planned`` are the units of both arms at which the sequence is to be narrowest.
    """
    if min(arm.active, control.active) < ACTIVE:
        return None
    theta, explained = _coefficient(arm, control)
    estimate = _mean(arm, theta) - _mean(control, theta)
    error = math.sqrt(
        _variance(arm, theta) / arm.shoppers + _variance(control, theta) / control.shoppers
    )
    units, rho_squared = arm.shoppers + control.shoppers, mixture(planned, alpha)
    if not error:
        return None
    wide = error * reach(units, rho_squared, alpha)
    p = p_value(estimate / error, units, rho_squared)
    return Difference(estimate, estimate - wide, estimate + wide, p, explained)


def _mean(sums: Sums, theta: float) -> float:
    return (sums.outcome - theta * sums.before) / sums.shoppers


def _variance(sums: Sums, theta: float) -> float:
    """Of Y - θX within the arm."""
    of_outcome, of_before, together = _moments(sums)
    return (of_outcome - 2 * theta * together + theta**2 * of_before) / (sums.shoppers - 1)


def _moments(sums: Sums) -> tuple[float, float, float]:
    """The sums of squares and products about the arm's means; exact but for the division."""
    n = sums.shoppers
    return (
        (n * sums.outcome_squares - sums.outcome**2) / n,
        (n * sums.before_squares - sums.before**2) / n,
        (n * sums.products - sums.outcome * sums.before) / n,
    )


def _coefficient(arm: Sums, control: Sums) -> tuple[float, float]:
    """θ̂ and the share of the variance that it explains; both 0 where nothing was before."""
    pairs = zip(_moments(arm), _moments(control), strict=True)
    of_outcome, of_before, together = (one + other for one, other in pairs)
    if not of_before or not of_outcome:
        return 0.0, 0.0
    return together / of_before, together**2 / (of_before * of_outcome)
