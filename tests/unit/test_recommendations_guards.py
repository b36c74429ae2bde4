"""What sends a canary back, and what does not."""

from __future__ import annotations

import random

import pytest

from services.recommendations.domain.durations import BOUNDS, GROWTH, STEPS, above, percentile
from services.recommendations.domain.guards import (
    Clicks,
    Outcomes,
    Sides,
    Window,
    fallen,
    fallen_clicks,
    values,
)
from services.recommendations.domain.serving import Guards

GUARDS = Guards(minimum=100)


def outcomes(
    answers: int, *, errors: int = 0, fallbacks: int = 0, ms: float = 2.0, slow: int = 0
) -> Outcomes:
    """So many answers, of which ``slow`` took ten times as long."""
    found = Outcomes()
    for number in range(answers):
        if number < errors:
            found.note_error()
        else:
            seconds = ms / 1e3 * (10 if number < errors + slow else 1)
            found.note(seconds, is_fallback=number < errors + fallbacks)
    return found


SERVED = outcomes(5_000, errors=5, fallbacks=1_000)


def test_a_canary_like_the_served_one_stays() -> None:
    """Neither the same shares nor a few errors more than usual bring it down."""
    assert fallen(Sides(outcomes(1_000, errors=3, fallbacks=210), SERVED), GUARDS) is None


@pytest.mark.parametrize(
    ("canary", "guard", "why"),
    [
        (outcomes(200, errors=40), "errors", "20.0% of 200 answers failed, of others' 0.1%"),
        (outcomes(400, fallbacks=200), "fallbacks", "50.0% of 400 answers were not personal"),
        (outcomes(400, ms=4.0), "latency", "99 % of 400 answers took 4"),
        (outcomes(1_000, slow=60), "latency", "of others' 2"),
        (outcomes(100, errors=100), "errors", "100.0% of 100"),
    ],
)
def test_each_guard_falls(canary: Outcomes, guard: str, why: str) -> None:
    """Where the canary is shown to be worse than is allowed; the words say by how much."""
    found = fallen(Sides(canary, SERVED), GUARDS)
    assert found is not None
    assert found.guard == guard
    assert why in found.why


def test_nothing_is_judged_by_a_few_answers() -> None:
    """Of either side."""
    bad = outcomes(99, errors=99)
    assert fallen(Sides(bad, SERVED), GUARDS) is None
    assert fallen(Sides(outcomes(500, errors=500), outcomes(99)), GUARDS) is None


def test_what_is_worse_within_the_margin_stays() -> None:
    """Also where it is shown: the margin is what the operator gives away."""
    canary = outcomes(100_000, errors=900, fallbacks=24_000)
    assert fallen(Sides(canary, SERVED), GUARDS) is None
    strict = Guards(minimum=100, error_share=0.0, fallback_share=0.01)
    found = fallen(Sides(canary, SERVED), strict)
    assert found is not None
    assert found.guard == "errors"


def test_a_good_canary_stays_for_days_of_looks() -> None:
    """The same bundle beside itself, looked at after each answer: no alarm in 60 runs."""
    alarms = 0
    for seed in range(60):
        draw = random.Random(seed)
        canary, served = Outcomes(), Outcomes()
        for number in range(1_000):
            for side in (canary, served, served):
                seconds = 0.002 * draw.lognormvariate(0, 0.5)
                if draw.random() < 0.01:
                    side.note_error()
                else:
                    side.note(seconds, is_fallback=draw.random() < 0.3)
            if number % 50 == 49 and fallen(Sides(canary, served), GUARDS):
                alarms += 1
                break
    assert alarms == 0


def test_clicks() -> None:
    """A canary that is clicked far more seldom falls; one that lacks a tenth does not."""
    served = Clicks(50_000, 2_500)
    assert fallen_clicks(Clicks(5_000, 225), served, GUARDS) is None
    assert fallen_clicks(Clicks(50, 0), served, GUARDS) is None
    found = fallen_clicks(Clicks(5_000, 100), served, GUARDS)
    assert found is not None
    assert found.why == "2.00% of 5000 were clicked, of others' 5.00%"


def test_a_window_forgets() -> None:
    """What is older than the window counts no more, slice by slice."""
    window = Window(100.0)
    for now in range(300):
        window.at(float(now)).canary.note(0.001, is_fallback=False)
    assert 90 <= window.total(299.0).canary.answers <= 100
    assert window.total(360.0).canary.answers <= 40
    assert window.total(500.0).canary.answers == 0


def test_values_are_what_the_guards_see() -> None:
    """Shares, and seconds of the slowest hundredth; nothing where a side has not answered."""
    found = values(Sides(outcomes(100, errors=10, fallbacks=30), SERVED))
    assert found["errors"].canary == 0.1
    assert found["fallbacks"].served == 0.2
    assert 0.002 <= found["latency"].canary < 0.0023
    assert values(Sides(Outcomes(), SERVED)) == {}


def test_percentiles_are_a_tenth_above_at_most() -> None:
    """Against sorted durations, over three decades; what is above a bound is certain."""
    draw = random.Random(1)
    took = sorted(draw.lognormvariate(-6, 1.2) for _ in range(2_000))
    found = Outcomes()
    for seconds in took:
        found.note(seconds, is_fallback=False)
    for share in (0.5, 0.9, 0.99, 1.0):
        true = max(took[round(share * len(took)) - 1], BOUNDS[0])
        assert true <= percentile(found.took, share) <= true * GROWTH * 1.001
    for limit in (0.001, 0.01, 0.1):
        certain = above(found.took, limit)
        assert certain <= sum(each > limit for each in took)
        assert certain >= sum(each > limit * GROWTH * GROWTH for each in took)
    assert percentile([0] * STEPS, 0.99) == 0


def test_what_lasts_for_ever_is_counted() -> None:
    """Beyond the last step, in the last one."""
    found = Outcomes()
    found.note(3_600.0, is_fallback=False)
    assert percentile(found.took, 0.5) == BOUNDS[-1]
    assert above(found.took, 1.0) == 1
