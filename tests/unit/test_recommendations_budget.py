"""A source that would come too late is not asked, and is not forgotten either."""

from __future__ import annotations

import pytest

from services.recommendations.domain.answer import Cause
from services.recommendations.domain.budget import (
    CAUTION,
    HALF_LIFE_SECONDS,
    LEARNING,
    RESERVE_SECONDS,
    Budget,
    Costs,
    Turns,
)
from tests.moving_clock import MovingClock


class Calls:
    """Calls with a deadline, one after the other, for which a source takes so long."""

    def __init__(self, seconds_left: float = 0.1) -> None:
        self.clock, self.costs = MovingClock(), Costs()
        self._seconds_left = seconds_left

    def is_asked(self, takes: float, *, following: float = 0.0) -> bool:
        """Whether one more call asks the source."""
        budget = Budget(self.costs, self._seconds_left, self.clock)
        found = budget.spend("model", lambda: self.clock.taking(takes))
        self.clock.taking(following)
        budget.end()
        return found is not None


def test_a_source_is_asked_while_it_fits() -> None:
    """What it takes is learned, and decides whether it is asked the next time."""
    clock, costs = MovingClock(), Costs()
    first = Budget(costs, 1.0, clock)
    assert first.spend("model", lambda: clock.taking(0.015)) == "found"
    enough = RESERVE_SECONDS + CAUTION * 0.015
    assert Budget(costs, enough - 0.001, clock).spend("model", lambda: "never") is None
    assert Budget(costs, enough + 0.001, clock).spend("model", lambda: "found") == "found"


def test_what_one_source_took_is_gone_for_the_next() -> None:
    """The budget is the call's, not each source's."""
    clock, costs = MovingClock(), Costs()
    costs.learn("second", 0.015, clock.now)
    budget = Budget(costs, 0.17, clock)
    assert budget.spend("first", lambda: clock.taking(0.15)) == "found"
    assert budget.spend("second", lambda: "never") is None


def test_what_follows_the_sources_is_learned_and_kept_back() -> None:
    """A source that would fit alone is not asked where nothing would be left to end the list."""
    calls = Calls()
    assert calls.is_asked(0.01, following=0.015)
    enough = RESERVE_SECONDS + CAUTION * (0.01 + 0.015)
    assert Budget(calls.costs, enough - 0.001, calls.clock).spend("model", lambda: "never") is None
    assert Budget(calls.costs, enough + 0.001, calls.clock).spend("model", lambda: "yes") == "yes"


def test_what_sources_take_does_not_follow_them() -> None:
    """Of what comes after the first source, the later ones are costs of their own."""
    clock, costs = MovingClock(), Costs()
    budget = Budget(costs, 1.0, clock)
    budget.spend("first", lambda: clock.taking(0.01))
    clock.taking(0.001)
    budget.spend("second", lambda: clock.taking(0.015))
    clock.taking(0.001)
    budget.end()
    costs.learn("third", 0.01, clock.now)
    enough = RESERVE_SECONDS + CAUTION * (0.01 + 0.002)
    assert Budget(costs, enough - 0.001, clock).spend("third", lambda: "never") is None
    assert Budget(costs, enough + 0.001, clock).spend("third", lambda: "found") == "found"


def test_a_cost_follows_slowly() -> None:
    """One slow time does not shut a source out; many do."""
    costs = Costs()
    costs.learn("model", 0.01, 0.0)
    costs.learn("model", 0.02, 0.0)
    assert costs.of("model") == pytest.approx(0.01 + LEARNING * 0.01)
    for _ in range(200):
        costs.learn("model", 0.02, 0.0)
    assert abs(costs.of("model") - 0.02) < 0.0001


@pytest.mark.parametrize("before", [0, 1, 50])
def test_after_one_long_stall_a_source_is_asked_as_before(before: int) -> None:
    """However long a machine stood still once, be it at the first call, the next one asks."""
    calls = Calls()
    assert all(calls.is_asked(0.002, following=0.001) for _ in range(before))
    calls.is_asked(1.3, following=1.3)
    assert all(calls.is_asked(0.002, following=0.001) for _ in range(10))


def test_a_source_that_has_become_slow_is_shut_out() -> None:
    """A bound on what one time teaches does not keep many from teaching all."""
    calls = Calls()
    assert all(calls.is_asked(0.002) for _ in range(50))
    assert [calls.is_asked(0.15) for _ in range(50)].count(True) < 25
    assert not calls.is_asked(0.15)


def test_a_source_that_was_slow_for_long_recovers_by_itself() -> None:
    """Nobody with more time need ask: what is not seen fades, and one quick time counts much."""
    calls = Calls(seconds_left=10.0)
    assert all(calls.is_asked(0.5) for _ in range(100))
    calls = _hurried(calls)
    assert not calls.is_asked(0.002)
    calls.clock.taking(10 * HALF_LIFE_SECONDS)
    assert all(calls.is_asked(0.002) for _ in range(10))


def test_a_source_that_stays_slow_is_tried_seldom() -> None:
    """Of a hundred calls that it would make late, at most one is."""
    calls = Calls(seconds_left=10.0)
    assert all(calls.is_asked(0.15) for _ in range(100))
    calls = _hurried(calls)
    late = 0
    for _ in range(6_000):
        calls.clock.taking(0.02)
        late += calls.is_asked(0.15)
    assert 1 <= late <= 60


def test_a_source_that_has_nothing_teaches_nothing() -> None:
    """Strangers, for whom the model has nothing to read, do not make it look quick."""
    calls = Calls()
    assert calls.is_asked(0.02)
    for _ in range(200):
        budget = Budget(calls.costs, 10.0, calls.clock)
        assert budget.spend("model", lambda: Cause.UNKNOWN_SHOPPER) is Cause.UNKNOWN_SHOPPER
    assert Budget(calls.costs, 0.03, calls.clock).spend("model", lambda: "never") is None


def test_time_is_kept_for_each_list_of_many() -> None:
    """What lists in haste take is learned: as many whole ones are made as leave time for those."""
    clock, costs = MovingClock(), Costs()
    for _ in range(3):
        turns, until = Turns(costs, 1.0, clock, count=50), clock.now + 1.0
        whole = 0
        for _ in range(50):
            if turns.next() is None:
                clock.taking(0.002)
            else:
                clock.taking(0.02)
                clock.taking(turns.rest(0.02))
                whole += 1
        assert clock.now <= until
    assert 18 <= whole <= 24


def _hurried(calls: Calls) -> Calls:
    """The same server, whose callers have 100 ms."""
    hurried = Calls()
    hurried.clock, hurried.costs = calls.clock, calls.costs
    return hurried
