"""How many calls a saturated server takes."""

from __future__ import annotations

from collections import Counter, deque

import pytest

from services.shared.pace import LEAST, TOO_LONG_SECONDS, WINDOW_SECONDS, Pace


class Machine:
    """A server in a time of its own: calls wait their turn, and it works on one after the other."""

    def __init__(self, *, a_call: float, a_refusal: float = 0.0, deadline: float = 0.2) -> None:
        self.now = self.wait = 0.0
        self._a_call, self._a_refusal, self._deadline = a_call, a_refusal, deadline
        self.pace = Pace(waiting=lambda: self.wait, clock=lambda: self.now)
        self.taken: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.latest = 0.0

    def run(self, seconds: float, rates: dict[str, float]) -> None:
        """Calls of these shops come evenly, so many a second, first come first served."""
        start = max(self.now, getattr(self, "_arrived", 0.0))
        dues = sorted(
            (start + number / rate, shop)
            for shop, rate in rates.items()
            for number in range(int(seconds * rate))
        )
        self.latest = 0.0
        for due, shop in dues:
            self.now = max(self.now, due)
            self.wait = self.now - due
            taken = self.pace.takes(shop, self._deadline - self.wait)
            (self.taken if taken else self.refused)[shop] += 1
            cost = self._a_call if taken else self._a_refusal
            self.now += cost
            self.latest = max(self.latest, self.now - due)
        self._arrived = start + seconds

    def run_callers(self, seconds: float, callers: int) -> None:
        """Each calls again as soon as it has an answer, also one that refuses."""
        end = self.now + seconds
        asked = deque([self.now] * callers)
        while self.now < end:
            self.wait = self.now - asked.popleft()
            taken = self.pace.takes("demo", self._deadline - self.wait)
            (self.taken if taken else self.refused)["demo"] += 1
            self.now += self._a_call if taken else self._a_refusal
            asked.append(self.now)

    def forget(self) -> None:
        self.taken.clear()
        self.refused.clear()


def test_below_what_it_can_do_nothing_is_refused() -> None:
    """At four fifths of a server's capacity every call is taken."""
    machine = Machine(a_call=0.002)
    machine.run(10, {"demo": 400})
    assert not machine.refused
    assert machine.pace.most is None


def test_above_it_what_is_taken_is_answered_in_time_and_the_processor_is_used() -> None:
    """At 150 % and at 300 % most of the capacity is answered, each within two windows."""
    for rate in (750, 1_500):
        machine = Machine(a_call=0.002, a_refusal=0.0002)
        machine.run(5, {"demo": rate})
        machine.forget()
        machine.run(10, {"demo": rate})
        possible = 10 * (1 - 0.0002 * rate) / (0.002 - 0.0002)
        assert machine.taken["demo"] > 0.75 * possible
        assert machine.latest < TOO_LONG_SECONDS + 2 * WINDOW_SECONDS


def test_callers_that_wait_for_their_answers_are_left_alone() -> None:
    """Sixteen of them keep it busy all the time, and wait for less than what is too long."""
    machine = Machine(a_call=0.004)
    machine.run_callers(10, 16)
    assert machine.taken["demo"] > 0.99 * 10 / 0.004
    assert not machine.refused


def test_who_waits_because_the_server_was_held_up_once_is_left_alone() -> None:
    """A stall of a quarter of a second below what it can do, again and again, refuses nobody."""
    machine = Machine(a_call=0.002)
    for _ in range(10):
        machine.run(2, {"demo": 200})
        machine.now += 0.25
    assert not machine.refused


@pytest.mark.parametrize(
    ("callers", "deadline", "are_refused"), [(16, 5.0, False), (16, 0.5, True), (100, 5.0, True)]
)
def test_a_few_who_are_not_pressed_are_left_alone_however_slow_the_machine(
    callers: int, deadline: float, are_refused: bool
) -> None:
    """On a machine that others keep busy; not if their deadlines are near, nor if they are many."""
    machine = Machine(a_call=0.02, a_refusal=0.002, deadline=deadline)
    machine.run_callers(10, callers)
    assert bool(machine.refused) is are_refused


def test_nobody_waits_without_end() -> None:
    """Few callers with much time are refused, too, once they wait for a second."""
    machine = Machine(a_call=0.02, a_refusal=0.002, deadline=60)
    machine.run_callers(20, 60)
    assert machine.refused


def test_callers_that_try_again_at_once_leave_it_something_to_do() -> None:
    """However fast refusals are asked for, a fourth of what it can do is done."""
    machine = Machine(a_call=0.002, a_refusal=0.0002)
    machine.run_callers(10, 400)
    assert machine.taken["demo"] > 0.24 * 10 / 0.002


def test_it_is_the_noisy_shop_that_is_refused() -> None:
    """A shop that stays within its part has its calls answered beside one that floods."""
    machine = Machine(a_call=0.002, a_refusal=0.0002)
    rates = {"quiet": 50.0, "noisy": 1_000.0}
    machine.run(5, rates)
    machine.forget()
    machine.run(10, rates)
    assert machine.refused["quiet"] < 0.02 * machine.taken["quiet"]
    assert machine.refused["noisy"] > 5_000


def test_it_forgets_an_overload() -> None:
    """Some seconds after it nothing is held back any more."""
    machine = Machine(a_call=0.002, a_refusal=0.0002)
    machine.run(5, {"demo": 1_500})
    assert machine.pace.most is not None
    machine.run(10, {"demo": 300})
    machine.forget()
    machine.run(5, {"demo": 300})
    assert machine.pace.most is None
    assert not machine.refused


@pytest.mark.parametrize("a_call", [0.2, 1.0])
def test_a_few_calls_are_taken_however_long_one_takes(a_call: float) -> None:
    """Whatever a call costs, some of each window are answered."""
    machine = Machine(a_call=a_call)
    machine.run(20, {"demo": 20})
    assert machine.taken["demo"] >= LEAST
    machine.forget()
    machine.run(20, {"demo": 20})
    assert machine.taken["demo"] >= LEAST
