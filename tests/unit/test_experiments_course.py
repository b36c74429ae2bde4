"""What becomes of an experiment: decisions are made once, and only for good reasons overruled."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import numpy as np
import pytest

from services.attribution.domain.course import (
    POINTS,
    ArmCourse,
    Course,
    looked,
    stopped_by_guards,
)
from services.attribution.domain.sums import Harms, Sums
from services.attribution.domain.tally import Tally, added
from services.shared.experiments import Arm, Experiment, Guard, Metric
from services.shared.stopped_arms import StoppedArm
from tests.experiment_parts import experiment

START = datetime(2026, 3, 1, tzinfo=UTC)
FALLBACK = Guard(harm="fallback", margin=0.01, usual=0.02)


def buyers(shoppers: int, bought: int) -> Sums:
    """Shoppers of whom so many converted, and nothing is known of before."""
    return Sums(shoppers, bought, bought, bought)


def tally(bought: int, *, shoppers: int = 5_000, fallbacks: int | None = None) -> Tally:
    """An arm whose shoppers' windows have all closed."""
    harms = {} if fallbacks is None else {FALLBACK.harm: Harms(shoppers, fallbacks)}
    return Tally(exposed=shoppers, sums=buyers(shoppers, bought), harms=harms)


def course(of: Experiment, *looks: dict[str, Tally]) -> Course:
    """After looks of an hour each."""
    found = Course()
    for number, tallies in enumerate(looks):
        found = looked(of, found, tallies, START + number * timedelta(hours=1))
    return found


def arm(*looks: Tally, control: Tally, **told: Any) -> ArmCourse:
    """What became of the second of two arms beside a control that stays as it is."""
    of = experiment(**told)
    (found,) = course(of, *({"control": control, "arm-1": each} for each in looks)).arms
    return found


def test_an_arm_that_sells_more_wins_and_stays_the_winner() -> None:
    """Also when later shoppers make it less sure again."""
    found = arm(tally(500), tally(700), tally(520), control=tally(500))
    assert (found.decision, found.decided_at) == ("winner", START + timedelta(hours=1))
    assert found.newest is not None
    assert found.newest.low < 0 < found.newest.high
    assert found.p < 0.001


def test_an_arm_that_sells_less_is_stopped() -> None:
    """And is not judged any more, whatever comes."""
    found = arm(tally(350), tally(900), control=tally(500))
    assert (found.decision, found.looks) == ("stop_arm", 1)


def test_nothing_is_decided_while_nothing_is_shown() -> None:
    """The interval holds 0 and more than what would matter."""
    found = arm(tally(505), control=tally(500))
    assert (found.decision, found.decided_at) == ("continue", None)


def test_arms_that_differ_by_too_little_to_matter_are_alike() -> None:
    """The interval lies within a tenth of the control's mean, where that was the least."""
    control = tally(60_000, shoppers=200_000)
    coarse = Metric(outcome="conversion", least_uplift=0.1)
    found = arm(tally(60_300, shoppers=200_000), control=control, metric=coarse)
    assert found.decision == "no_difference"
    assert found.least == pytest.approx(0.03)


@pytest.mark.parametrize("bought", [470, 530])
def test_arms_that_may_still_differ_are_not_alike(bought: int) -> None:
    """On one side the interval reaches beyond what would matter, on the other it does not."""
    coarse = Metric(outcome="conversion", least_uplift=0.2)
    found = arm(tally(bought), control=tally(500), metric=coarse)
    assert found.newest is not None
    beyond = found.newest.low < -found.least, found.newest.high > found.least
    assert sorted(beyond) == [False, True]
    assert found.decision == "continue"


def test_a_guard_stops_an_arm_that_sells_more() -> None:
    """Harm counts first, also where the arm has won before."""
    control = tally(500, fallbacks=100)
    found = arm(
        tally(700, fallbacks=100), tally(800, fallbacks=400), control=control, guards=(FALLBACK,)
    )
    assert (found.decision, found.decided_at) == ("stop_arm", START + timedelta(hours=1))


def test_a_guard_needs_no_buyers() -> None:
    """A broken arm is stopped before anything can be said of what it sells."""
    broken = Tally(exposed=20, harms={"fallback": Harms(20, 20)})
    control = Tally(exposed=20, harms={"fallback": Harms(20, 0)})
    found = arm(broken, control=control, guards=(FALLBACK,))
    assert (found.decision, found.newest) == ("stop_arm", None)


def test_only_a_guard_stops_an_arm_by_itself() -> None:
    """With its name and the look that found it; of an arm that merely sells less people decide."""
    of = experiment(0.4, 0.3, 0.3, guards=(FALLBACK,))
    assert stopped_by_guards(of, Course()) == []
    tallies = {
        "control": tally(500, fallbacks=100),
        "arm-1": tally(350, fallbacks=100),
        "arm-2": tally(800, fallbacks=400),
    }
    found = course(of, tallies)
    assert [each.decision for each in found.arms] == ["stop_arm", "stop_arm"]
    stopped = StoppedArm(experiment=of.name, arm="arm-2", harm="fallback", at=START)
    assert stopped_by_guards(of, found) == [stopped]
    after = course(of, tallies, tallies | {"arm-2": tally(800, fallbacks=100)})
    assert [each.arm for each in stopped_by_guards(of, after)] == ["arm-2"]


def test_guards_go_on_watching_an_arm_that_sells_less() -> None:
    """It is to be stopped already, and nobody may have done so."""
    of, control = experiment(guards=(FALLBACK,)), tally(500, fallbacks=100)
    looks = [{"control": control, "arm-1": tally(350, fallbacks=n)} for n in (100, 400)]
    assert stopped_by_guards(of, course(of, looks[0])) == []
    found = course(of, *looks)
    assert [each.arm for each in stopped_by_guards(of, found)] == ["arm-1"]
    assert (found.arms[0].decided_at, found.arms[0].looks) == (START, 1)


def test_wrong_shares_make_an_experiment_void() -> None:
    """Who won has not won, nobody wins later, and the alarm stays; stopping is still right."""
    control = tally(500)
    lost = Tally(exposed=4_000, sums=buyers(4_000, 700))
    found = course(
        experiment(),
        {"control": control, "arm-1": tally(700)},
        {"control": control, "arm-1": lost},
        {"control": control, "arm-1": tally(700)},
    )
    assert found.is_void
    assert (found.arms[0].decision, found.arms[0].decided_at) == ("continue", None)
    worse = Tally(exposed=4_000, sums=buyers(4_000, 200))
    stopped = course(experiment(), {"control": control, "arm-1": worse})
    assert (stopped.is_void, stopped.arms[0].decision) == (True, "stop_arm")


def test_more_arms_ask_for_more_evidence() -> None:
    """Each is judged as if it were one of several tries: Bonferroni, for intervals and guards."""
    control = tally(500, fallbacks=100)
    better, harming = tally(610, fallbacks=100), tally(500, fallbacks=215)
    alone = course(experiment(guards=(FALLBACK,)), {"control": control, "arm-1": better})
    of = experiment(*[0.125] * 8, guards=(FALLBACK,))
    others = {f"arm-{number}": tally(500, fallbacks=100) for number in range(2, 8)}
    together = course(of, {"control": control, "arm-1": better, **others})
    assert alone.arms[0].decision == "winner"
    assert together.arms[0].decision == "continue"
    assert arm(harming, control=control, guards=(FALLBACK,)).decision == "stop_arm"
    together = course(of, {"control": control, "arm-1": harming, **others})
    assert together.arms[0].decision == "continue"


def test_a_stopped_arm_keeps_what_was_known_of_it() -> None:
    """Its shoppers are served as the control's, so later ones say nothing about it."""
    running = experiment(0.4, 0.3, 0.3)
    tallies = {"control": tally(500), "arm-1": tally(505), "arm-2": tally(500)}
    before = course(running, tallies)
    arms = (running.arms[0], Arm(name="arm-1", share=0.3, stopped=True), running.arms[2])
    of = msgspec.structs.replace(running, arms=arms)
    after = looked(of, before, tallies | {"arm-1": tally(900)}, START)
    assert after.arms[0] == before.arms[0]
    assert after.arms[1].looks == 2


def test_a_chart_is_bounded_and_even() -> None:
    """However many looks there were, a few hundred are kept, evenly spaced over all of them."""
    looks = 1_000
    control = {"control": tally(500)}
    each = [control | {"arm-1": tally(500, shoppers=5_000 + number)} for number in range(looks)]
    (found,) = course(experiment(), *each).arms
    shoppers = [point.shoppers for point in found.points]
    assert POINTS / 2 <= len(shoppers) <= POINTS
    assert shoppers[0] == 10_000
    assert set(np.diff(shoppers)) == {found.stride}
    assert shoppers[-1] > 10_000 + looks - 1 - found.stride
    assert found.looks == looks


def test_a_course_is_kept_as_json() -> None:
    """A process that starts anew goes on from what the last one wrote."""
    control = tally(500, fallbacks=100)
    of = experiment(guards=(FALLBACK,))
    looks = [{"control": control, "arm-1": tally(n, fallbacks=110)} for n in (505, 520, 700)]
    kept = msgspec.json.decode(msgspec.json.encode(course(of, *looks[:2])), type=Course)
    at = START + timedelta(hours=2)
    assert looked(of, kept, looks[2], at) == course(of, *looks)


def test_parts_of_processes_add_up() -> None:
    """Each arm's; an arm that a process has not seen is none of its parts."""
    of = experiment(0.4, 0.3, 0.3)
    one = {"control": tally(500, fallbacks=10), "arm-1": tally(400)}
    other = {"control": tally(100), "arm-2": tally(5, fallbacks=1), "gone": tally(1)}
    total = added(of, [one, other])
    assert list(total) == ["control", "arm-1", "arm-2"]
    assert total["control"].sums == buyers(10_000, 600)
    assert total["control"].harm("fallback") == Harms(5_000, 10)
    assert total["arm-1"] == one["arm-1"]
    assert total["arm-2"] == other["arm-2"]
    assert added(of, [other, one]) == total
