"""What is said of experiments seldom errs, however often one looks, and finds what is there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product

import numpy as np
import pytest
from msgspec.structs import replace

from services.attribution.domain.difference import ACTIVE, Difference, difference
from services.attribution.domain.harm import log_capital
from services.attribution.domain.sample_ratio import log_evidence
from services.attribution.domain.sequence import mixture, p_value, reach
from services.attribution.domain.sums import Harms, Sums, shopper
from services.shared.experiments import Metric
from tests.bench.experiment_rivals import dealt, ever_differs, t_test_ever_differs
from tests.experiment_worlds import BROWSERS, REGULARS, World, running_sums, shoppers

WORLDS = 80
SHOPPERS = 6_000
EVERY = 60
CAPS = {BROWSERS: 30_880, REGULARS: 247_632}
"""What 999 of 1,000 shoppers stay below, in hundredths."""
SPEND = Metric(outcome="spend", currency="EUR", cap=100.0)


def courses(
    seed: int, world: World = BROWSERS, shares: Sequence[float] = (0.5, 0.5), gain: int = 0
) -> list[list[Sums]]:
    """The sums of arm 1 and of the control at each look; each shopper of the arm spends more."""
    random = np.random.default_rng(seed)
    of, arms = shoppers(random, SHOPPERS, world), dealt(random, SHOPPERS, shares)
    outcome = np.minimum(of.outcome, CAPS[world]) + gain * arms
    before = np.minimum(of.before, CAPS[world])
    return [running_sums(arms, outcome, before, arm=arm, every=EVERY) for arm in (1, 0)]


def differs(arm: Sequence[Sums], control: Sequence[Sums]) -> bool:
    return ever_differs(arm, control, planned=SHOPPERS)


def test_looking_often_makes_few_false_alarms() -> None:
    """Of worlds without a difference at most 1 in 20 ever alarms; a t-test alarms in far more."""
    worlds = [courses(seed) for seed in range(WORLDS)]
    assert np.mean([differs(*each) for each in worlds]) <= 0.05
    assert np.mean([t_test_ever_differs(*each) for each in worlds]) >= 0.15


def test_a_small_arm_makes_few_false_alarms() -> None:
    """One of 10 % has few buyers at first, whose spends are far from normal."""
    worlds = [courses(seed, shares=(0.9, 0.1)) for seed in range(WORLDS)]
    assert np.mean([differs(*each) for each in worlds]) <= 0.05


def test_an_uplift_is_found() -> None:
    """A quarter more from regular customers, who spend 146 on average, is found every time."""
    found = [courses(seed, REGULARS, gain=3_700) for seed in range(WORLDS // 4)]
    assert all(differs(*each) for each in found)


def test_intervals_hold_the_truth_at_every_look() -> None:
    """In 19 of 20 worlds each look's interval has the true difference within."""
    held = []
    for seed in range(WORLDS):
        arm, control = courses(seed, shares=(0.7, 0.3), gain=200)
        looks = (judged(*each) for each in zip(arm, control, strict=True))
        held.append(all(each.low <= 200 <= each.high for each in looks if each))
    assert np.mean(held) >= 0.95


def judged(arm: Sums, control: Sums) -> Difference | None:
    return difference(arm, control, planned=SHOPPERS, alpha=0.05)


def test_earlier_spends_narrow_the_interval() -> None:
    """By the share of the variance that they explain; what is estimated stays the same."""
    arm, control = (each[-1] for each in courses(1, REGULARS, gain=1_000))
    forgotten = [replace(each, before=0, before_squares=0, products=0) for each in (arm, control)]
    known, unknown = judged(arm, control), judged(*forgotten)
    assert known is not None
    assert unknown is not None
    assert 0.6 < known.explained < 0.75
    narrower = (known.high - known.low) / (unknown.high - unknown.low)
    assert narrower == pytest.approx(math.sqrt(1 - known.explained), rel=0.02)
    assert unknown.explained == 0
    assert known.low < 1_000 < known.high
    assert abs(known.estimate - 1_000) < abs(unknown.estimate - 1_000)


def test_nothing_is_judged_of_few_buyers() -> None:
    """Each arm needs 100 shoppers who bought something, and some spread."""
    enough = Sums(shoppers=1_000, active=ACTIVE, outcome=ACTIVE, outcome_squares=ACTIVE)
    few = Sums(shoppers=1_000, active=ACTIVE - 1, outcome=ACTIVE - 1, outcome_squares=ACTIVE - 1)
    assert judged(enough, enough) is not None
    assert judged(enough, few) is None
    assert judged(few, enough) is None
    all_alike = Sums(shoppers=500, active=500, outcome=500, outcome_squares=500)
    assert judged(all_alike, all_alike) is None


def test_parts_add_up_to_the_same_bits_in_any_order() -> None:
    """Whichever process counted whom: sums are of whole numbers, and judged the same."""
    random = np.random.default_rng(2)
    spends = random.integers(0, 20_000, (400, 2)).tolist()
    units = [shopper(SPEND, outcome, before) for outcome, before in spends]
    whole = sum(units, Sums())
    order = random.permutation(len(units))
    parts = [sum((units[place] for place in order[start::3]), Sums()) for start in range(3)]
    assert sum(reversed(parts), Sums()) == whole
    assert whole.shoppers == 400
    assert whole.outcome == sum(min(outcome, 10_000) for outcome, _ in spends)
    assert whole.products == sum(min(one, 10_000) * min(other, 10_000) for one, other in spends)


@pytest.mark.parametrize(
    ("outcome", "before", "kept", "earlier"),
    [(0, 0, 0, 0), (9_999, 1, 9_999, 1), (10_001, 50_000, 10_000, 10_000), (-500, -1, 0, 0)],
)
def test_a_spend_counts_up_to_the_cap(outcome: int, before: int, kept: int, earlier: int) -> None:
    """And not below nothing, where more is given back than was bought."""
    found = shopper(SPEND, outcome, before)
    active = int(kept > 0)
    assert found == Sums(1, active, kept, kept**2, earlier, earlier**2, kept * earlier)


def test_a_conversion_counts_once() -> None:
    """However often a shopper buys."""
    assert shopper(Metric(outcome="conversion"), 3, 1) == Sums(1, 1, 1, 1, 1, 1, 1)


@pytest.mark.parametrize("units", [10, 1_000, 100_000])
@pytest.mark.parametrize("alpha", [0.05, 0.01])
def test_the_p_value_is_where_the_interval_ends(units: int, alpha: float) -> None:
    """A value at the end of the interval of 1 - alpha has the p-value alpha."""
    rho_squared = mixture(20_000, alpha)
    wide = reach(units, rho_squared, alpha)
    assert p_value(wide, units, rho_squared) == pytest.approx(alpha)
    assert p_value(-wide, units, rho_squared) == pytest.approx(alpha)
    assert p_value(0.0, units, rho_squared) == 1


def test_the_interval_is_nearly_narrowest_where_it_was_planned() -> None:
    """At the planned number no other plan is narrower by a hundredth."""
    planned = reach(20_000, mixture(20_000, 0.05), 0.05)
    others = [reach(20_000, mixture(20_000 * times, 0.05), 0.05) for times in (0.3, 0.7, 1.5, 3)]
    assert planned < 1.01 * min(others)
    assert planned == pytest.approx(3.03, abs=0.01)


def test_normal_outcomes_leave_the_interval_once_in_twenty_worlds_at_most() -> None:
    """Looked at after every unit for a hundred times as long as planned, and not for nothing."""
    random = np.random.default_rng(3)
    at = np.arange(1, 5_001)
    sums = np.cumsum(random.normal(size=(400, len(at))), axis=1)
    wide = np.array([reach(units, mixture(50, 0.05), 0.05) for units in at.tolist()])
    ever = (np.abs(sums) / np.sqrt(at) > wide).any(axis=1)
    assert 0.01 <= ever.mean() <= 0.05


@pytest.mark.parametrize("shares", [(0.5, 0.5), (0.9, 0.1), (0.6, 0.3, 0.1)])
def test_evidence_against_the_shares_is_fair(shares: tuple[float, ...]) -> None:
    """Over all that six shoppers may do, its mean is 1: so it is seldom large by chance."""
    total = 0.0
    for arms in product(range(len(shares)), repeat=6):
        counts = [arms.count(arm) for arm in range(len(shares))]
        chance = math.prod(shares[arm] for arm in arms)
        total += chance * math.exp(log_evidence(counts, shares))
    assert total == pytest.approx(1)


def test_shares_that_are_wrong_are_seen() -> None:
    """A loss of one in ten shoppers of one arm within 10,000; what chance does is let pass."""
    assert log_evidence((5_000, 4_500), (0.5, 0.5)) > math.log(100)
    assert log_evidence((5_000, 4_900), (0.5, 0.5)) < 0
    assert log_evidence((0, 0), (0.5, 0.5)) == pytest.approx(0)


@pytest.mark.parametrize("chance", [0.5, 0.1])
@pytest.mark.parametrize("usual", [0.0, 0.02, 0.9])
@pytest.mark.parametrize(("share", "margin"), [(0.02, 0.01), (0.85, 0.05)])
def test_a_bet_on_harm_is_fair_at_the_margin(
    chance: float, usual: float, share: float, margin: float
) -> None:
    """Over all that three shoppers may do, the mean capital is 1 there, and less below."""
    told = {"chance": chance, "margin": margin, "usual": usual}
    assert mean_capital(share + margin, share, **told) == pytest.approx(1)
    assert 0.5 < mean_capital(share, share, **told) < 1


def mean_capital(
    harm: float, beside: float, *, chance: float, margin: float, usual: float
) -> float:
    """Where the harm befalls so large a share of the arm, and of the control beside it."""
    kinds = {
        (1, 1): chance * harm,
        (1, 0): chance * (1 - harm),
        (0, 1): (1 - chance) * beside,
        (0, 0): (1 - chance) * (1 - beside),
    }
    total = 0.0
    for units in product(kinds, repeat=3):
        sides = [[harmed for arm, harmed in units if arm == side] for side in (1, 0)]
        seen = [Harms(len(side), sum(side)) for side in sides]
        capital = log_capital(*seen, chance=chance, margin=margin, usual=usual)
        total += math.prod(kinds[unit] for unit in units) * math.exp(capital)
    return total


def test_ruin_is_seen_at_once_and_a_small_harm_later() -> None:
    """Nothing but fallbacks after a dozen shoppers; 5 % instead of 2 % after thousands."""
    told = {"chance": 0.5, "margin": 0.01, "usual": 0.02}
    level = math.log(20)
    assert log_capital(Harms(12, 12), Harms(12, 0), **told) > level
    assert log_capital(Harms(200, 10), Harms(200, 4), **told) < level
    assert log_capital(Harms(5_000, 250), Harms(5_000, 100), **told) > level
    assert log_capital(Harms(5_000, 140), Harms(5_000, 100), **told) < 0
