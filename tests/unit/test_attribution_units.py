"""Shoppers as units of experiments: first exposures, windows that close, and what is summed."""

from __future__ import annotations

import itertools
from datetime import timedelta
from typing import Any

import pytest

from services.attribution.domain.following import followed
from services.attribution.domain.sums import Harms, Sums
from services.attribution.domain.units import GRACE, due_at, tally_of
from services.shared.experiments import Arm, Experiment, Guard, Metric
from services.shared.trail import Trail
from tests.attribution_parts import SHOP, World, answer, cancel, click, micros, purchase
from tests.profile_events import NOON

DAY = timedelta(days=1)
HUNDRED = 100 * 100


def experiment(name: str = "calm", **more: Any) -> Experiment:
    """One of a week, on spends in EUR up to 100, with all guards."""
    usual: dict[str, Any] = {
        "layer": "lists",
        "salt": name,
        "traffic": (0, 10_000),
        "arms": (Arm(name="a", share=0.5), Arm(name="b", share=0.5)),
        "hypothesis": "it sells more",
        "metric": Metric(outcome="spend", currency="EUR", cap=100.0),
        "window_days": 7,
        "planned_shoppers": 1_000,
        "guards": (
            Guard(harm="fallback", margin=0.01),
            Guard(harm="late", margin=0.01, limit_ms=50),
            Guard(harm="no_purchase", margin=0.01, window_days=2),
        ),
    }
    return Experiment(name=name, **usual | more)


def closing(world: World, known: dict[str, Experiment], at: timedelta) -> dict[str, Any]:
    """The measures of arm b after its windows have closed by then."""
    trail = world.trails["u:ana"]
    done = followed(trail, (), known, now=micros(NOON + at) + GRACE)
    world.trails["u:ana"] = done.trail
    return next((dict(found) for found in done.grown.values()), {})


def tally(world: World) -> Any:
    """What is counted of arm b so far."""
    (found,) = [found for row, found in world.figures.items() if row.names == ("calm", "b")]
    return tally_of(found)


def in_b(token: str, **more: Any) -> Any:
    return answer(token, arms=(("calm", "b"),), **more)


def test_the_first_answer_is_the_exposure() -> None:
    """In whatever order answers are read, a shopper is one unit, judged by the first."""
    answers = [
        in_b("t1", at=NOON, fallback_cause=2, took=60_000),
        in_b("t2", at=NOON + DAY, took=1_000),
        in_b("t3", at=NOON + 2 * DAY, took=90_000),
    ]
    for order in itertools.permutations(answers):
        world = World({"calm": experiment()})
        for one in order:
            world.take([one])
        assert tally(world).exposed == 1
        assert tally(world).harms == {"fallback": Harms(1, 1), "late": Harms(1, 1)}


@pytest.mark.parametrize(("cause", "harmed"), [(0, 0), (2, 1), (6, 0)])
def test_which_answers_are_fallbacks(cause: int, harmed: int) -> None:
    """Personal ones are none, nor are those that are not meant to be personal."""
    world = World({"calm": experiment()})
    world.take([in_b("t", fallback_cause=cause)])
    assert tally(world).harm("fallback") == Harms(1, harmed)


@pytest.mark.parametrize(("took", "harmed"), [(50_000, 0), (50_001, 1)])
def test_which_answers_are_late(took: int, harmed: int) -> None:
    """Those that took longer than the guard's limit."""
    world = World({"calm": experiment()})
    world.take([in_b("t", took=took)])
    assert tally(world).harm("late") == Harms(1, harmed)


def test_an_earlier_answer_that_is_read_after_the_window() -> None:
    """The outcome is final, so the first exposure stays where it was."""
    known = {"calm": experiment()}
    world = World(known)
    world.take([in_b("t")])
    closing(world, known, 7 * DAY)
    world.take([in_b("earlier", at=NOON - timedelta(hours=1))])
    assert closing(world, known, 30 * DAY) == {}
    assert world.trails["u:ana"].exposures[0].at == micros(NOON)


def test_an_experiment_that_is_not_known() -> None:
    """Its arms have figures, but nobody counts as its unit."""
    world = World()
    world.take([in_b("t")])
    assert [row.day >= 0 for row in world.figures] == [True, True]
    assert world.trails["u:ana"].exposures == ()


def test_what_a_shopper_did_within_the_window() -> None:
    """From the first exposure on, and before it for as long; each shopper once, and for good."""
    world, known = World({"calm": experiment()}), {"calm": experiment()}
    world.take([purchase(1, "mug", price=30, at=NOON - 8 * DAY)])
    world.take([purchase(2, "mug", price=20, at=NOON - DAY), in_b("t")])
    world.take([purchase(3, "mug", "hat", price=6, at=NOON + DAY)])
    world.take([purchase(4, "mug", price=9, at=NOON + 7 * DAY)])
    assert closing(world, known, 6.9 * DAY).get("shoppers") is None
    measures = closing(world, known, 7 * DAY)
    assert tally_of(measures).sums == Sums(1, 1, 1_200, 1_200**2, 2_000, 2_000**2, 1_200 * 2_000)
    world.take([purchase(5, "mug", price=50, at=NOON + 2 * DAY), in_b("t2", at=NOON + 8 * DAY)])
    assert closing(world, known, 30 * DAY) == {}
    assert tally(world).exposed == 1


def test_spends_are_capped_and_cancels_taken_off() -> None:
    """What is beyond the cap does not count, nor what was taken back within the week."""
    known = {"calm": experiment()}
    world = World(known)
    world.take([in_b("t"), purchase(1, "mug", price=900), purchase(2, "mug", price=70)])
    world.take([cancel(3, 1, at=NOON + DAY)])
    assert closing(world, known, 7 * DAY)["outcome"] == 7_000
    world = World(known)
    world.take([in_b("t"), purchase(1, "mug", price=900)])
    assert closing(world, known, 7 * DAY)["outcome"] == HUNDRED


@pytest.mark.parametrize(
    ("metric", "outcome"),
    [
        (Metric(outcome="spend", currency="EUR", cap=100.0), 1_000),
        (Metric(outcome="attributed_spend", currency="EUR", cap=100.0), 500),
        (Metric(outcome="spend", currency="USD", cap=100.0), 0),
        (Metric(outcome="conversion"), 1),
    ],
)
@pytest.mark.parametrize("later", [False, True])
def test_outcomes(metric: Metric, outcome: int, later: bool) -> None:
    """Money for all, for what lists had the credit for, in one currency; or whether any."""
    known = {"calm": experiment(metric=metric, window_days=14)}
    world = World(known)
    world.take([in_b("t"), click(1, "t"), purchase(2, "mug", "hat", price=5, at=NOON + DAY)])
    if later:  # what was bought has become sums by then
        world.take([answer("new", at=NOON + 12 * DAY)])
    assert closing(world, known, 14 * DAY)["outcome"] == outcome


@pytest.mark.parametrize(("bought", "harmed"), [(1.9, 0), (2.1, 1)])
def test_who_buys_nothing(bought: float, harmed: int) -> None:
    """The guard has a window of its own, that closes sooner."""
    known = {"calm": experiment()}
    world = World(known)
    world.take([in_b("t"), purchase(1, "mug", at=NOON + bought * DAY)])
    assert due_at(world.trails["u:ana"], known) == micros(NOON + 2 * DAY) + GRACE
    assert tally_of(closing(world, known, 2 * DAY)).harms == {"no_purchase": Harms(1, harmed)}
    assert due_at(world.trails["u:ana"], known) == micros(NOON + 7 * DAY) + GRACE
    closing(world, known, 7 * DAY)
    assert due_at(world.trails["u:ana"], known) is None


def test_a_window_closes_an_hour_late() -> None:
    """Events of its last minutes may still be on their way."""
    known = {"calm": experiment(guards=())}
    world = World(known)
    world.take([in_b("t")])
    trail = world.trails["u:ana"]
    end = micros(NOON + 7 * DAY)
    assert not followed(trail, (), known, now=end + GRACE - 1).grown
    assert followed(trail, (), known, now=end + GRACE).grown


def test_nobody_is_due_who_was_never_exposed() -> None:
    """A trail without an experiment has no window."""
    assert due_at(Trail(SHOP), {"calm": experiment()}) is None
