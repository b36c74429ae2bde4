"""A shop's document and its history in memory, for tests of what is on trial."""

from __future__ import annotations

from collections.abc import Sequence

from services.recommendations.domain.comparison import Tally
from services.recommendations.domain.durations import STEPS, step_of
from services.recommendations.domain.next_step import (
    RETRAINING,
    Seen,
    Step,
    Terms,
    next_step,
    open_trial,
    was_tried,
)
from services.recommendations.domain.next_step import entry as entry_of
from services.recommendations.domain.serving import NOTHING, Change, Published, Serving
from services.recommendations.domain.transitions import Transition, publish, shadow

HOUR = 3_600_000_000
START = 1_700_000_000_000_000


def bundle(version: str) -> Published:
    return Published(version=version, manifest_sha256="0" * 64)


class Shop:
    """What the registry keeps of one shop, and a clock."""

    def __init__(self) -> None:
        self.now = START
        self.changes: list[Change] = []
        """Newest first."""

    @property
    def serving(self) -> Serving:
        return self.changes[0].serving if self.changes else NOTHING

    def change(self, who: str, transition: Transition, why: str = "") -> bool:
        """Whether there was anything to do."""
        after = transition(self.serving)
        if after == self.serving:
            return False
        change = Change(at=self.now, who=who, what="", why=why, serving=after)
        self.changes.insert(0, change)
        return True

    def publish(self, *versions: str) -> None:
        for version in versions:
            self.change("ana", lambda serving, v=version: publish(serving, bundle(v)))  # type: ignore[misc]

    def later(self, hours: float) -> None:
        self.now += round(hours * HOUR)

    def enter(self, version: str, against: str | None) -> str:
        """What the end of a round does with a bundle that the gate let through; the outcome."""
        self.change(RETRAINING, lambda serving: publish(serving, bundle(version)))
        found = entry_of(
            self.serving,
            open_trial(self.changes),
            version=version,
            against=against,
            tried=was_tried(self.changes, version),
        )
        if found.outcome == "shadow":
            self.change(RETRAINING, lambda serving: shadow(serving, version, 0.1))
        return found.outcome

    def look(self, seen: Seen, terms: Terms) -> Step:
        """What is next; nothing is done."""
        return next_step(self.serving, open_trial(self.changes), seen, terms, self.now)

    def advance(self, seen: Seen, terms: Terms) -> bool:
        """Take the next step; whether there was one."""
        step = self.look(seen, terms)
        return self.change(RETRAINING, step.transition, step.why)


def tally(  # one argument for each thing that may be wrong
    answers: int,
    *,
    failed: int = 0,
    differing: int = 0,
    overlap: float = 0.6,
    served_ms: float = 2.0,
    shadow_ms: float = 2.0,
) -> Tally:
    """What servers have compared; all durations of a side are the same."""
    compared = answers - failed - differing
    return Tally(
        answers=answers,
        failed=failed,
        differing_fallbacks=differing,
        compared=compared,
        overlap=overlap * compared,
        served_took=_took(answers, served_ms),
        shadow_took=_took(answers, shadow_ms),
    )


def _took(answers: int, ms: float) -> tuple[int, ...]:
    found: Sequence[int] = [0] * STEPS
    step = step_of(ms / 1e3)
    return (*found[:step], answers, *found[step + 1 :])
