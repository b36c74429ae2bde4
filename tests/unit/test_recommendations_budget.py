"""A source that would come too late is not asked."""

from __future__ import annotations

from services.recommendations.domain.budget import CAUTION, LEARNING, RESERVE_SECONDS, Budget, Costs


class Clock:
    """Goes on only when something takes time."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def taking(self, seconds: float) -> str:
        self.now += seconds
        return "found"


def test_a_source_is_asked_while_it_fits() -> None:
    """What it takes is learned, and decides whether it is asked the next time."""
    clock, costs = Clock(), Costs()
    first = Budget(costs, 1.0, clock)
    assert first.spend("model", lambda: clock.taking(0.1)) == "found"
    enough = RESERVE_SECONDS + CAUTION * 0.1
    assert Budget(costs, enough - 0.001, clock).spend("model", lambda: "never") is None
    assert Budget(costs, enough + 0.001, clock).spend("model", lambda: "found") == "found"


def test_what_one_source_took_is_gone_for_the_next() -> None:
    """The budget is the call's, not each source's."""
    clock, costs = Clock(), Costs()
    costs.learn("second", 0.1)
    budget = Budget(costs, 0.5, clock)
    assert budget.spend("first", lambda: clock.taking(0.4)) == "found"
    assert budget.spend("second", lambda: "never") is None


def test_a_cost_follows_slowly() -> None:
    """One slow time does not shut a source out; many do."""
    costs = Costs()
    costs.learn("model", 1.0)
    costs.learn("model", 2.0)
    assert costs.of("model") == 1.0 + LEARNING
    for _ in range(200):
        costs.learn("model", 2.0)
    assert abs(costs.of("model") - 2.0) < 0.01
