"""The encoder must not become slower than a tolerance allows.

Both encoders run in one process, call by call in turn, on the inputs that their bundles
carry: one shopper a call, as a server asks. What disturbs the machine disturbs both. A round
has some calls of each, who is first changing from call to call, and gives the median of each
encoder's and their ratio; the median of the rounds' ratios decides. So neither calls nor
rounds that were disturbed do, on a busy machine either.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from model_export.evaluation.metrics import Interval
from model_export.gate.comparison import Comparison, Contender
from model_export.gate.verdict import PASSED, REFUSED, Finding, Verdict, verdict
from model_export.gate.words import percent
from services.shared.encoder import Encoder
from services.shared.model_input import ModelInput

CALLS: Final = 16
"""Of each encoder in a round."""
WARM_UP: Final = 3
"""Rounds that are not counted."""
FIGURE: Final = "milliseconds an encoding"

Clock = Callable[[], int]
"""Nanoseconds from an arbitrary moment."""


class EncoderLatency:
    """The candidate encodes a shopper about as fast as the current model."""

    name = "latency"

    def __init__(self, clock: Clock = time.perf_counter_ns) -> None:
        self._clock = clock

    def judge(self, comparison: Comparison) -> Verdict:
        """See :class:`model_export.gate.verdict.Check`."""
        settings = comparison.settings
        times = self._times(comparison, settings.latency_rounds)
        ratios = np.sort(times[:, 0] / times[:, 1])
        ratio = float(np.median(ratios))
        low, high = _median_interval(ratios)
        candidate, current = np.median(times, axis=0).tolist()
        tolerance = settings.latency_tolerance
        says = (
            f"encoding one shopper takes {candidate:.3f} ms, the current model's {current:.3f} "
            f"ms: {ratio:.2f} times as long [{low:.2f}, {high:.2f}], medians of {len(ratios)} "
            "interleaved rounds"
        )
        passed = ratio <= tolerance
        if not passed:
            says += (
                f"; allowed is {tolerance:g}. Every answer waits for it. Train with fewer "
                "--layers, --dimensions or a smaller --max-length, or accept it knowingly with a "
                "higher --latency-tolerance"
            )
        finding = Finding(
            about="encoder",
            figure=FIGURE,
            current=round(current, 4),
            candidate=round(candidate, 4),
            change=Interval(*(round(each - 1, 4) for each in (ratio, low, high))),
            outcome=PASSED if passed else REFUSED,
            says=f"{says}.",
        )
        slower = percent(tolerance - 1)
        return verdict(self.name, [finding], passed=f"no more than {slower} slower")

    def _times(self, comparison: Comparison, rounds: int) -> NDArray[np.float64]:
        """[rounds, 2] the median milliseconds of candidate and current model in each round."""
        calls = (_calls(comparison.candidate), _calls(comparison.current))
        found = np.zeros((WARM_UP + rounds, CALLS, 2))
        for number, call in np.ndindex(found.shape[:2]):
            for which in (0, 1) if (number + call) % 2 else (1, 0):
                start = self._clock()
                calls[which][call]()
                found[number, call, which] = (self._clock() - start) / 1e6
        medians: NDArray[np.float64] = np.median(found[WARM_UP:], axis=1)
        return medians


def _calls(contender: Contender) -> list[Callable[[], object]]:
    """Encodings of the first golden inputs; all of a graph cost the same."""
    encoder, golden = Encoder(contender.bundle), contender.bundle.golden
    inputs = [
        ModelInput(golden.items[row], golden.actions[row], golden.gaps[row])
        for row in np.arange(CALLS) % len(golden.items)
    ]
    return [partial(encoder.encode, each) for each in inputs]


def _median_interval(ordered: NDArray[np.float64]) -> tuple[float, float]:
    """About 95 % for the median of ``ordered`` [n]: order statistics, normal approximation."""
    half = 1.96 * np.sqrt(len(ordered)) / 2
    middle = len(ordered) / 2
    low = max(0, int(np.floor(middle - half)))
    high = min(len(ordered) - 1, int(np.ceil(middle + half)))
    return float(ordered[low]), float(ordered[high])
