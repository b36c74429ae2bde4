"""What sends a canary back: it is shown to be worse than what everybody else gets.

Each guard is a share: of answers that failed; that were not personal; that took longer than the
served bundle's 99th percentile times a ratio, of which a good canary has one in a hundred; that
were not followed by a click. It falls where the canary's share is above what is allowed *and* so
far above that chance is no excuse. Of n answers k being too many, with q allowed, has a probability
of at most ::

    exp(-n · (k/n · ln(k/n ÷ q) + (1 - k/n) · ln((1 - k/n) ÷ (1 - q))))

(Hoeffding, "Probability Inequalities for Sums of Bounded Random Variables", JASA 1963, theorem 1).
It must be below :data:`CHANCE`, which is small because one looks again and again: each second, for
days. The served bundle's share counts as known: it has most of the answers.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

from services.recommendations.domain.durations import STEPS, above, percentile, step_of
from services.recommendations.domain.serving import Guards

CHANCE: Final = 1e-6
SLOWEST: Final = 0.01
"""What a 99th percentile leaves above it."""
SLICES: Final = 10
"""Of a window; the oldest is forgotten as a whole."""

Guard = Literal["errors", "fallbacks", "latency", "clicks"]


@dataclass(slots=True)
class Outcomes:
    """What became of one bundle's answers."""

    answers: int = 0
    """All of them, also those that failed."""
    errors: int = 0
    fallbacks: int = 0
    took: list[int] = field(default_factory=lambda: [0] * STEPS)
    """See :mod:`services.recommendations.domain.durations`."""

    def note(self, seconds: float, *, is_fallback: bool) -> None:
        """One more answer."""
        self.answers += 1
        self.fallbacks += is_fallback
        self.took[step_of(seconds)] += 1

    def note_error(self) -> None:
        """One more that failed."""
        self.answers += 1
        self.errors += 1

    def add(self, other: Outcomes) -> None:
        """Those of another, too."""
        self.answers += other.answers
        self.errors += other.errors
        self.fallbacks += other.fallbacks
        self.took = [one + more for one, more in zip(self.took, other.took, strict=True)]


class Sides(NamedTuple):
    """The canary beside what everybody else gets."""

    canary: Outcomes
    served: Outcomes


class Value(NamedTuple):
    """What a guard sees: shares, or for ``latency`` the 99th percentiles in seconds."""

    canary: float
    served: float


class Fallen(NamedTuple):
    """A guard that has fallen, in words for the document and the log."""

    guard: Guard
    why: str


class Clicks(NamedTuple):
    """Answers of a bundle, and how many of them were followed by a click or more."""

    answers: int
    clicked: int


class Window:
    """The outcomes of the last ``seconds``, in slices; knows no clock but what it is told."""

    def __init__(self, seconds: float) -> None:
        self._width = seconds / SLICES
        self._slices: deque[tuple[int, Sides]] = deque(maxlen=SLICES)

    def at(self, now: float) -> Sides:
        """Where what happens ``now``, in seconds, is noted."""
        number = int(now // self._width)
        if not self._slices or self._slices[-1][0] != number:
            self._slices.append((number, Sides(Outcomes(), Outcomes())))
        return self._slices[-1][1]

    def total(self, now: float) -> Sides:
        """What was noted in the window that ends ``now``."""
        oldest = int(now // self._width) - SLICES
        found = Sides(Outcomes(), Outcomes())
        for number, sides in self._slices:
            if number > oldest:
                found.canary.add(sides.canary)
                found.served.add(sides.served)
        return found


def values(sides: Sides) -> dict[Guard, Value]:
    """What each guard but that of clicks sees; nothing of a side without answers."""
    canary, served = sides
    if not canary.answers or not served.answers:
        return {}
    return {
        "errors": Value(canary.errors / canary.answers, served.errors / served.answers),
        "fallbacks": Value(canary.fallbacks / canary.answers, served.fallbacks / served.answers),
        "latency": Value(percentile(canary.took, 0.99), percentile(served.took, 0.99)),
    }


def fallen(sides: Sides, guards: Guards) -> Fallen | None:
    """The first guard that has fallen; None while there are too few answers, or none has."""
    canary, served = sides
    if min(canary.answers, served.answers) < guards.minimum:
        return None
    return next(_fallen(canary, served, guards), None)


def _fallen(canary: Outcomes, served: Outcomes, guards: Guards) -> Iterator[Fallen]:
    n, of = canary.answers, f"of {canary.answers} answers"
    usual = served.errors / served.answers
    if is_shown(canary.errors, n, usual + guards.error_share):
        yield Fallen("errors", f"{canary.errors / n:.1%} {of} failed, of others' {usual:.1%}")
    usual = served.fallbacks / served.answers
    if is_shown(canary.fallbacks, n, usual + guards.fallback_share):
        share = canary.fallbacks / n
        yield Fallen("fallbacks", f"{share:.1%} {of} were not personal, of others' {usual:.1%}")
    p99 = percentile(served.took, 0.99)
    slow = above(canary.took, p99 * guards.latency_ratio)
    if is_shown(slow, sum(canary.took), SLOWEST):
        ours = percentile(canary.took, 0.99)
        yield Fallen("latency", f"99 % {of} took {ours * 1e3:.3g} ms, of others' {p99 * 1e3:.3g}")


def fallen_clicks(canary: Clicks, served: Clicks, guards: Guards) -> Fallen | None:
    """The guard of clicks, where attribution has counted them; None as :func:`fallen`."""
    if min(canary.answers, served.answers) < guards.minimum:
        return None
    usual = served.clicked / served.answers
    without = canary.answers - canary.clicked
    if not is_shown(without, canary.answers, 1 - usual * (1 - guards.clicks_loss)):
        return None
    share = canary.clicked / canary.answers
    return Fallen("clicks", f"{share:.2%} of {canary.answers} were clicked, of others' {usual:.2%}")


def is_shown(count: int, of: int, allowed: float) -> bool:
    """Whether ``count`` of so many is more than chance makes of the share ``allowed``."""
    if not of or allowed >= 1 or count <= of * allowed:
        return False
    share, allowed = count / of, max(allowed, 1e-12)
    distance = share * math.log(share / allowed)
    if share < 1:
        distance += (1 - share) * math.log((1 - share) / (1 - allowed))
    return of * distance > -math.log(CHANCE)
