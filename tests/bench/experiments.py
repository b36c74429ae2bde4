"""How often experiments err, and how much they find: ``python -m tests.bench.experiments``.

Shoppers are made up (:mod:`tests.experiment_worlds`): most buy nothing, a few spend very much, they
come back. Each world is looked at again and again, as an impatient person would; what counts is
whether an alarm ever comes. Beside what we do stands what it replaces: a t-test at every look,
visits as units, and outcomes that still grow. What is called runs in the table is, of a rate, its
95 % interval (Wilson).
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from services.attribution.domain.difference import Difference, difference
from services.attribution.domain.harm import log_capital
from services.attribution.domain.sample_ratio import log_evidence
from services.attribution.domain.sequence import mixture, reach
from services.attribution.domain.sums import Harms
from services.attribution.domain.verdict import ALPHA, HARM_ALPHA, RATIO_ALPHA, RATIO_LEVEL
from tests.bench.experiment_rivals import (
    EVERY,
    NORMAL,
    SHOPPERS,
    Random,
    closed_windows,
    dealt,
    ever_differs,
    growing_outcomes,
    t_test_at_every_look,
    visits_as_units,
)
from tests.bench.report import Row, publish
from tests.experiment_worlds import (
    BROWSERS,
    REGULARS,
    Integers,
    World,
    running_sums,
    shoppers,
)

UPLIFT: Final = 1.05
OF_POWER: Final = 0.841621
"""The quantile of the normal distribution for a power of 80 %."""
EVEN: Final = (0.5, 0.5)
UNEVEN: Final = (0.8, 0.1, 0.1)
GUARDS: Final = ((0.02, 0.01), (0.01, 0.005), (0.84, 0.02))
"""The usual share and the margin of each."""


class Known(NamedTuple):
    """What a shop knows of its shoppers before the experiment."""

    cap: int
    """What 999 of 1,000 shoppers stay below."""
    needed: int
    """Shoppers of both arms by which a t-test finds the uplift with a power of 80 %."""
    needed_cuped: int
    """The same with CUPED."""


def main() -> None:
    """Measure, and publish."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.experiments", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the worlds")
    worlds = 100 if parser.parse_args().quick else 1_000
    publish("experiments", [*false_alarms(worlds), *alarms(worlds // 10), *powers(worlds // 5)])


def false_alarms(worlds: int) -> Iterator[Row]:
    """Where nothing is different."""
    browsers, regulars = known(BROWSERS).cap, known(REGULARS).cap
    asked: dict[str, tuple[Callable[[Random], bool], float | None]] = {
        "two even arms": (lambda random: ours(random, BROWSERS, browsers, EVEN), 5.0),
        "arms of 80, 10 and 10 %": (lambda random: ours(random, BROWSERS, browsers, UNEVEN), 5.0),
        "regular customers": (lambda random: ours(random, REGULARS, regulars, EVEN), 5.0),
        "shares": (unlike, 100 * RATIO_ALPHA),
        "three guards, harm at the margin": (harmed, 5.0),
        "t-test at every look": (lambda random: t_test_at_every_look(random, browsers), None),
        "visits as units, regular customers": (visits_as_units, None),
        "growing outcomes, purchases hastened": (
            lambda random: growing_outcomes(random, regulars),
            None,
        ),
        "the same with closed windows": (lambda random: closed_windows(random, regulars), 5.0),
    }
    for name, (is_alarmed, gate) in asked.items():
        found = [is_alarmed(np.random.default_rng(seed)) for seed in track(range(worlds), name)]
        yield rate(f"false alarms: {name}", found, gate)


def alarms(worlds: int) -> Iterator[Row]:
    """How soon what is wrong is seen, with a look after each shopper."""
    asked: dict[str, Callable[[Random], int]] = {
        "a guard, all answers are fallbacks instead of 2 %": lambda r: until_stopped(r, 1.0),
        "a guard, 5 % are fallbacks instead of 2 %": lambda r: until_stopped(r, 0.05),
        "shares, 1 in 10 of an arm's shoppers is lost": lambda r: until_unlike(r, 0.1),
        "shares, 1 in 50 of an arm's shoppers is lost": lambda r: until_unlike(r, 0.02),
    }
    for name, shoppers_until in asked.items():
        seeds = track(range(worlds), name)
        found = [shoppers_until(np.random.default_rng(seed)) for seed in seeds]
        spread = float(min(found)), float(max(found))
        yield Row(f"shoppers until the alarm: {name}", float(np.median(found)), "", spread)


def powers(worlds: int) -> Iterator[Row]:
    """Where one arm sells 5 % more."""
    for name, world in (("browsers", BROWSERS), ("regular customers", REGULARS)):
        told = known(world)
        yield Row(f"{name}: shoppers for a t-test of 80 %", told.needed, "", (told.needed,) * 2)
        needed = told.needed_cuped
        yield Row(f"{name}: the same with CUPED", needed, "", (needed,) * 2)
        found = [
            power(np.random.default_rng(seed), world, told) for seed in track(range(worlds), name)
        ]
        fixed, *sequence = zip(*found, strict=True)
        yield rate(f"{name}: power of that t-test", fixed, None)
        for times, each in zip((1, 1.5, 2), sequence, strict=True):
            yield rate(f"{name}: power of the sequence at {times:g} times as many", each, None)


def rate(name: str, found: Sequence[bool], gate: float | None) -> Row:
    """How often, in per cent."""
    n, share = len(found), float(np.mean(found))
    shrunk = 100 / (1 + NORMAL**2 / n)
    middle = shrunk * (share + NORMAL**2 / (2 * n))
    wide = shrunk * NORMAL * math.sqrt(share * (1 - share) / n + (NORMAL / (2 * n)) ** 2)
    return Row(name, 100 * share, "%", (max(0.0, middle - wide), middle + wide), gate)


def known(world: World) -> Known:
    """From 400,000 shoppers of before."""
    of = shoppers(np.random.default_rng(1), 400_000, world)
    cap = int(np.quantile(of.outcome, 0.999))
    outcome, before = np.minimum(of.outcome, cap), np.minimum(of.before, cap)
    gained = np.minimum(np.rint(of.outcome * UPLIFT), cap).mean() - outcome.mean()
    needed = 4 * ((NORMAL + OF_POWER) / gained) ** 2 * outcome.var()
    left = 1 - np.corrcoef(outcome, before)[0, 1] ** 2
    return Known(cap, math.ceil(needed), math.ceil(needed * left))


def ours(random: Random, world: World, cap: int, shares: Sequence[float]) -> bool:
    """Whether any arm is ever called better or worse than the control."""
    of, arms = shoppers(random, SHOPPERS, world), dealt(random, SHOPPERS, shares)
    outcome, before = np.minimum(of.outcome, cap), np.minimum(of.before, cap)
    control, *others = (
        running_sums(arms, outcome, before, arm=arm, every=EVERY) for arm in range(len(shares))
    )
    alpha = ALPHA / len(others)
    return any(
        ever_differs(arm, control, planned=SHOPPERS * (shares[0] + share), alpha=alpha)
        for arm, share in zip(others, shares[1:], strict=True)
    )


def unlike(random: Random) -> bool:
    """Whether the planned shares are ever called wrong."""
    return until_wrong(dealt(random, SHOPPERS, UNEVEN), UNEVEN, every=EVERY) is not None


def until_wrong(arms: Integers, shares: Sequence[float], *, every: int) -> int | None:
    """The look, from 0, at which the planned shares are called wrong."""
    counts = [np.cumsum(arms == arm)[every - 1 :: every].tolist() for arm in range(len(shares))]
    looks = enumerate(zip(*counts, strict=True))
    return next((at for at, each in looks if log_evidence(each, shares) >= RATIO_LEVEL), None)


def until_unlike(random: Random, lost: float) -> int:
    """Shoppers who are counted until that is seen, or all: an arm loses some of its own."""
    arms = dealt(random, 400_000)
    kept = arms[(arms == 0) | (random.random(len(arms)) >= lost)]
    at = until_wrong(kept, EVEN, every=1)
    return len(kept) if at is None else 1 + at


def harmed(random: Random) -> bool:
    """Whether any of three guards ever stops an arm that harms by just the margin more."""
    arms = dealt(random, SHOPPERS)
    for usual, margin in GUARDS:
        harm = random.random(SHOPPERS) < usual + margin * arms
        if until_stop(arms, harm, usual, margin, every=EVERY) is not None:
            return True
    return False


def until_stopped(random: Random, share: float) -> int:
    """Shoppers of both arms until the arm is stopped, or all: the harm befalls so many of it."""
    arms = dealt(random, SHOPPERS)
    usual, margin = GUARDS[0]
    harm = random.random(SHOPPERS) < np.where(arms == 1, share, usual)
    at = until_stop(arms, harm, usual, margin, every=1)
    return SHOPPERS if at is None else 1 + at


def until_stop(
    arms: Integers, harm: NDArray[np.bool_], usual: float, margin: float, *, every: int
) -> int | None:
    """The look, from 0, at which one of three guards stops the arm."""
    counts = [
        np.cumsum(each)[every - 1 :: every].tolist()
        for each in (arms == 1, (arms == 1) & harm, arms == 0, (arms == 0) & harm)
    ]
    level = math.log(len(GUARDS) / HARM_ALPHA)
    told = {"chance": 0.5, "margin": margin, "usual": usual}
    looks = enumerate(zip(*counts, strict=True))
    return next(
        (
            at
            for at, (n, bad, beside, its_bad) in looks
            if log_capital(Harms(n, bad), Harms(beside, its_bad), **told) >= level
        ),
        None,
    )


def power(random: Random, world: World, told: Known) -> tuple[bool, bool, bool, bool]:
    """Whether a t-test finds the uplift at its end, and the sequence by 1, 1.5 and 2 times that."""
    number = 2 * told.needed_cuped
    every = number // 400
    of, arms = shoppers(random, number, world), dealt(random, number)
    gained = np.where(arms == 1, np.rint(of.outcome * UPLIFT), of.outcome).astype(np.int64)
    outcome, before = np.minimum(gained, told.cap), np.minimum(of.before, told.cap)
    one, other = (running_sums(arms, outcome, before, arm=arm, every=every) for arm in (1, 0))
    found = [
        difference(*each, planned=told.needed_cuped, alpha=ALPHA)
        for each in zip(one, other, strict=True)
    ]
    better = np.array([each is not None and each.low > 0 for each in found])
    deviation = deviation_of(found[len(found) // 2 - 1], number // 2, told.needed_cuped)
    first, second, last = (
        bool(better[: round(len(found) * part)].any()) for part in (0.5, 0.75, 1)
    )
    return deviation > NORMAL, first, second, last


def deviation_of(found: Difference | None, units: int, planned: float) -> float:
    """How many standard errors an estimate is above 0, by the width of its interval."""
    if found is None:
        return 0.0
    wide = (found.high - found.low) / 2
    return found.estimate / wide * reach(units, mixture(planned, ALPHA), ALPHA)


if __name__ == "__main__":
    main()
