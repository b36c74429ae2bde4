"""Intervals that hold at all times at once: an estimate may be looked at whenever one likes.

The asymptotic confidence sequence of Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas, "Time-uniform
central limit theory and asymptotic confidence sequences" (Annals of Statistics, 2024, theorem 2.2):
Robbins' normal mixture around a mean that is nearly a Brownian motion once t is large. ::

    estimate ± error · √( 2 (tr + 1)/(tr) · ln(√(tr + 1) / alpha) )        r: rho²

With the standard error of a difference of two arms' means and t the shoppers of both, it holds
the true difference at all t with probability 1 - alpha, in the limit of a late start. How late
that must be for spends is measured: :data:`services.attribution.domain.difference.ACTIVE`.
"""

from __future__ import annotations

import math


def mixture(planned: float, alpha: float) -> float:
    """Rho² by which the sequence is nearly narrowest at ``planned`` units (the paper's eq. 10)."""
    doubled = -2 * math.log(alpha)
    return (doubled + math.log(doubled) + 1) / planned


def reach(units: int, rho_squared: float, alpha: float) -> float:
    """How many standard errors the interval reaches to either side after so many units."""
    spread = units * rho_squared
    return math.sqrt(2 * (spread + 1) / spread * math.log(math.sqrt(spread + 1) / alpha))


def p_value(deviation: float, units: int, rho_squared: float) -> float:
    """The least alpha whose interval leaves out a value ``deviation`` standard errors off.

    The least of all looks so far is an always-valid p-value: at whatever time one stops, it is
    at most 0.05 with a probability of at most 0.05 where the value is the true one.
    """
    spread = units * rho_squared
    evidence = deviation**2 / 2 * spread / (spread + 1) - math.log(spread + 1) / 2
    return math.exp(-max(0.0, evidence))
