"""How long something took, many times over, as counts of steps that grow by a tenth.

Counts can be added up, over processes too, where percentiles cannot. A percentile read from them is
at most a tenth above the true one.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import Final

SHORTEST: Final = 50e-6
"""Seconds; all that is shorter counts as this."""
GROWTH: Final = 1.1
STEPS: Final = 120
"""Up to 4.6 seconds; what takes longer counts with the last."""

BOUNDS: Final = tuple(SHORTEST * GROWTH**step for step in range(STEPS - 1))
"""Seconds; step i holds what took at most the i-th, the last one all the rest."""


def step_of(seconds: float) -> int:
    """The step that a duration belongs to."""
    return bisect_left(BOUNDS, seconds)


def upper(step: int) -> float:
    """The seconds that nothing of a step exceeds; of the last one, those that all of it exceeds."""
    return BOUNDS[min(step, STEPS - 2)]


def percentile(counts: Sequence[int], share: float) -> float:
    """The seconds that ``share`` of what was counted [STEPS] did not exceed; 0 of nothing."""
    wanted = share * sum(counts)
    total = 0
    for step, count in enumerate(counts):
        total += count
        if total >= wanted and total:
            return upper(step)
    return 0.0


def above(counts: Sequence[int], seconds: float) -> int:
    """How many took longer for certain: those of the steps that lie above ``seconds`` whole."""
    return sum(counts[bisect_left(BOUNDS, seconds) + 1 :])
