"""The paired bootstrap: how far two models differ on the same cases, and how sure that is.

Both models answered the same cases, so what is drawn is users with the difference of their
cases' figures (Efron and Tibshirani, 1993; paired, as Koehn, 2004, does with translations):
what makes a user hard for both models cancels out. All questions are answered from the
same draws, so their joint distribution is known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model_export.evaluation.figures import by_user
from model_export.evaluation.metrics import Interval, drawn_means
from model_export.evaluation.segments import Question

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Differences:
    """K questions: the mean figure of each model, and the candidate's less the current's."""

    questions: Sequence[Question]
    candidate: Floats
    """[K]"""
    current: Floats
    """[K]"""
    drawn: Floats
    """[draws, K] of the difference; NaN where no drawn user has a case."""

    def one_by_one(self, confidence: float) -> list[Interval]:
        """K intervals of the differences, each of ``confidence`` (percentile bootstrap)."""
        tail = 100 * (1 - confidence) / 2
        low, high = np.nanpercentile(self.drawn, (tail, 100 - tail), axis=0)
        return self._intervals(low, high)

    def all_at_once(self, confidence: float) -> list[Interval]:
        """K intervals that with ``confidence`` hold the truth all together.

        The greatest deviation among all questions, in standard errors, decides how wide they
        are (max-T; Romano and Wolf, 2005): of questions about the same users it asks less
        than Bonferroni, and of one question nothing more.
        """
        found = self.candidate - self.current
        error = np.nanstd(self.drawn, axis=0)
        with np.errstate(invalid="ignore", divide="ignore"):
            deviation = np.abs(self.drawn - found) / error
        greatest = np.nanmax(np.where(error > 0, deviation, 0.0), axis=1)
        reach = float(np.nanquantile(greatest, confidence)) * error
        return self._intervals(found - reach, found + reach)

    def _intervals(self, low: Floats, high: Floats) -> list[Interval]:
        found = self.candidate - self.current
        return [
            Interval(float(each), float(least), float(most))
            for each, least, most in zip(found, low, high, strict=True)
        ]


def differences(
    questions: Sequence[Question],
    candidate: Sequence[Floats],
    current: Sequence[Floats],
    users: NDArray[np.integer],
    *,
    seed: int,
    draws: int,
) -> Differences:
    """Compare the figures [C] that each model has of each question's cases.

    ``users`` are whose all cases are, see :func:`model_export.evaluation.figures.by_user`.
    """
    sums, counts = [], []
    for question, new, old in zip(questions, candidate, current, strict=True):
        each, cases = by_user(question, (new - old)[:, None], users)
        sums.append(each)
        counts.append(cases)
    drawn = drawn_means(
        np.concatenate(sums, axis=1), np.concatenate(counts, axis=1), seed=seed, draws=draws
    )
    return Differences(
        questions=questions,
        candidate=np.array([each.mean() for each in candidate]),
        current=np.array([each.mean() for each in current]),
        drawn=drawn,
    )
