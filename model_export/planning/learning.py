"""What a measured learning curve lets one expect of more data, or of less.

Fitted is the saturating power law y(n) = a - b · n^-c, with n the interactions that were
learned from: the form of Cortes, Jackel, Solla, Vapnik and Denker, "Learning Curves:
Asymptotic Values and Rate of Convergence" (1993), found again for deep networks by Hestness
et al., "Deep Learning Scaling is Predictable, Empirically" (2017). How far it may be off is
told by the bootstrap (Efron, 1979): each point is drawn again from its own interval, and
the spread of the curves through what was drawn is the spread of the answer. All points share
their shoppers, so a difference between two shares is surer than it says.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from model_export.errors import DataRefused

Floats = NDArray[np.float64]
Interval = tuple[float, float, float]
"""Mean or middle, then the lower and the upper end of 95 %."""

Law = tuple[float, float, float]
"""a, b and c."""

SHARES: Final = (0.1, 0.25, 0.5, 1.0, 2.0)
RATES: Final = np.linspace(0.05, 2.0, 118)
"""Of c; slower than the least is not told from a straight line in log n by any few points."""
DRAWS: Final = 400
NORMAL: Final = 1.96
"""Standard deviations from the middle to an end of a 95 % interval."""
ENOUGH: Final = 0.01
"""Where twice the data brings less than this share, the data is enough."""
FAR: Final = 2.0
"""Beyond so many times the most data that was measured, nothing is foretold."""


class Point(msgspec.Struct, frozen=True):
    """One training on a share of the data."""

    share: float
    interactions: int
    ndcg: Interval
    """NDCG@10 and its 95 % interval."""


class Curve(msgspec.Struct, frozen=True):
    """What ``learning-curve`` writes."""

    data: str
    points: list[Point]


class Expected(msgspec.Struct, frozen=True):
    """At one share of the planned data."""

    share: float
    interactions: int
    ndcg: Interval
    is_measured: bool
    """Whether it lies between the least and the most data that was measured."""


class Foretold(msgspec.Struct, frozen=True):
    """What the curve says, and in words whether the data is enough."""

    data: str
    """Of which it was measured."""
    formula: str
    at: list[Expected]
    doubling: Interval
    """What twice the planned data brings, as a share."""
    verdict: str


def read_curve(path: Path) -> Curve:
    """Read a learning curve. Raises DataRefused."""
    try:
        curve = msgspec.json.decode(path.read_bytes(), type=Curve)
    except msgspec.MsgspecError as error:
        raise DataRefused(f"{path} is no learning curve: {error}") from error
    sizes = {point.interactions for point in curve.points}
    if len(sizes) < 3:
        raise DataRefused(
            f"{path}: {len(sizes)} amounts of data; a curve needs 3 or more, "
            "of 'python -m model_export learning-curve'"
        )
    if min(sizes) < 1 or any(not 0 <= x <= 1 for point in curve.points for x in point.ndcg):
        raise DataRefused(f"{path}: an amount of data below 1, or an NDCG that is not in 0 to 1")
    return curve


def foretell(curve: Curve, interactions: int, gain: float) -> Foretold:
    """What to expect of shares of ``interactions``, and what would bring ``gain`` of NDCG more."""
    points = sorted(curve.points, key=lambda point: point.interactions)
    sizes = np.array([float(point.interactions) for point in points])
    means = np.array([point.ndcg[0] for point in points])
    deviations = np.array(
        [(high - low) / (2 * NORMAL) for _, low, high in (p.ndcg for p in points)]
    )
    deviations = np.maximum(deviations, 1e-4)
    best = fit(sizes, means, deviations)
    random = np.random.default_rng(1)
    drawn = [fit(sizes, random.normal(means, deviations), deviations) for _ in range(DRAWS)]
    wanted = [s for s in SHARES if s * interactions <= FAR * sizes[-1] * (1 + 1e-9)]
    at = [_expected(s, interactions, best, drawn, sizes) for s in wanted]
    doubling = _interval(_doubled(best, interactions), [_doubled(d, interactions) for d in drawn])
    a, b, c = best
    return Foretold(
        data=curve.data,
        formula=f"NDCG@10 = {a:.4f} - {b:.4g} · interactions^-{c:.2f}",
        at=at,
        doubling=doubling,
        verdict=_verdict(best, interactions, float(sizes[-1]), doubling, gain),
    )


def fit(sizes: Floats, means: Floats, deviations: Floats) -> Law:
    """The a, b ≥ 0 and c of y = a - b · n^-c of least squares, each point by its surety.

    For each c it is a line in n^-c; the c whose line fits best is taken.
    """
    weights = 1 / deviations**2
    x = (sizes / sizes[-1])[None, :] ** -RATES[:, None]
    mean_x = (weights * x).sum(1, keepdims=True) / weights.sum()
    mean_y = float((weights * means).sum() / weights.sum())
    slope = (weights * (x - mean_x) * (means - mean_y)).sum(1) / (weights * (x - mean_x) ** 2).sum(
        1
    )
    slope = np.minimum(slope, 0.0)  # more data never makes it worse
    left = means - mean_y - slope[:, None] * (x - mean_x)
    chosen = int((weights * left**2).sum(1).argmin())
    a = mean_y - float(slope[chosen] * mean_x[chosen, 0])
    c = float(RATES[chosen])
    return a, float(-slope[chosen]) * float(sizes[-1]) ** c, c


def value(law: Law, n: float) -> float:
    """y(n), in 0 to 1 as an NDCG is."""
    a, b, c = law
    found: float = a - b * n**-c
    return min(1.0, max(0.0, found))


def _doubled(law: Law, n: float) -> float:
    now = value(law, n)
    return value(law, 2 * n) / now - 1 if now else 0.0


def _expected(
    share: float,
    interactions: int,
    best: Law,
    drawn: Sequence[Law],
    sizes: Floats,
) -> Expected:
    n = share * interactions
    return Expected(
        share=share,
        interactions=round(n),
        ndcg=_interval(value(best, n), [value(law, n) for law in drawn]),
        is_measured=bool(sizes[0] <= n <= sizes[-1]),
    )


def _interval(middle: float, values: Sequence[float]) -> Interval:
    low, high = np.quantile(values, [0.025, 0.975])
    return round(middle, 6), round(min(middle, float(low)), 6), round(max(middle, float(high)), 6)


def _verdict(
    best: Law,
    interactions: int,
    most: float,
    doubling: Interval,
    gain: float,
) -> str:
    """Whether more data would help, in words."""
    if interactions > FAR * most:
        return (
            f"the plan has {interactions / most:.1f} times the most data that was measured; "
            f"beyond {FAR:.0f} times nothing is foretold"
        )
    middle, low, high = doubling
    span = f"{100 * middle:.1f} % ({100 * low:.1f} to {100 * high:.1f} %)"
    if high < ENOUGH:
        return f"the data is enough: twice as much would bring {span}"
    if middle < ENOUGH:
        return f"the data is probably enough: twice as much would bring {span}"
    needed = _needed(best, interactions, gain)
    return f"more data would help: twice as much would bring {span}; {needed}"


def _needed(law: Law, interactions: int, gain: float) -> str:
    a, b, c = law
    wanted = value(law, interactions) + gain
    if wanted >= a:
        return f"+{gain:g} is beyond what the curve says any amount reaches, {a:.4f}"
    times = (b / (a - wanted)) ** (1 / c) / interactions
    beyond = ", far beyond what was measured" if times > FAR else ""
    return f"+{gain:g} would take {times:,.1f} times the data{beyond}"
