"""Not worse on the held-out baskets: over all of them, and in each large segment.

**All of them** bear the burden of proof (a non-inferiority test): a candidate passes where
the interval of the change of NDCG@10 shows that it loses no more than the margin. Where
there are too few users to show that, it does not pass. There are two questions, all and new
purchases, and both must pass; that needs no correction, as looking twice makes it only
harder. New purchases are judged where a large segment's number of users has any.

**Segments** are many and some are small; to ask each for such a proof would refuse most
candidates that are as good. A segment refuses where a loss is both *shown* (the interval,
corrected for the number of segments, lies below 0) and *worth refusing* (the loss itself is
beyond the margin). docs/decisions/0025 has how often that errs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from model_export.evaluation.cases import Ranking
from model_export.evaluation.figures import NDCG, figures
from model_export.evaluation.metrics import Interval
from model_export.evaluation.segments import Question, segments, whole
from model_export.gate.comparison import Comparison
from model_export.gate.settings import GateSettings
from model_export.gate.verdict import NOT_JUDGED, PASSED, REFUSED, Finding, Verdict, verdict
from model_export.gate.words import change, percent, size_of

FIGURE: Final = "NDCG@10"


def gains(question: Question, rankings: Sequence[Ranking]) -> NDArray[np.float64]:
    """The NDCG of each of the question's cases, [C]."""
    found: NDArray[np.float64] = figures(question, rankings)[:, NDCG]
    return found


class NotWorse:
    """The candidate keeps what the current model reaches on all held-out baskets."""

    name = "quality"

    def judge(self, comparison: Comparison) -> Verdict:
        """See :class:`model_export.gate.verdict.Check`."""
        settings = comparison.settings
        found = comparison.differences(whole(comparison.cases), gains)
        judged = [
            _whole(question, current, interval, settings)
            for question, current, interval in zip(
                found.questions,
                found.current.tolist(),
                found.one_by_one(settings.confidence),
                strict=True,
            )
        ]
        return verdict(
            self.name, judged, passed=f"keeps {percent(1 - settings.margin)} of {FIGURE} or more"
        )


class NoSegmentWorse:
    """No large segment of shoppers or products loses by the candidate."""

    name = "segments"

    def judge(self, comparison: Comparison) -> Verdict:
        """See :class:`model_export.gate.verdict.Check`."""
        settings = comparison.settings
        large, small = segments(comparison.data, comparison.cases, large=settings.large)
        if not large:
            names = ", ".join(small) or "none at all"
            return Verdict(
                self.name,
                NOT_JUDGED,
                f"no segment has {settings.large:,} users or more ({names}); a lower --large "
                "judges smaller ones",
            )
        found = comparison.differences(large, gains)
        judged = [
            no_loss(question, current, interval, settings.segment_margin, len(large))
            for question, current, interval in zip(
                large,
                found.current.tolist(),
                found.all_at_once(settings.confidence),
                strict=True,
            )
        ]
        return verdict(
            self.name, judged, passed=f"none of {len(large)} large segments is shown to lose"
        )


def _whole(
    question: Question, current: float, difference: Interval, settings: GateSettings
) -> Finding:
    """All purchases are always judged, new ones where enough users have any."""
    found = not_worse(question, FIGURE, current, difference, settings.margin)
    if not question.is_new or question.users >= settings.large:
        return found
    told = _told(question, FIGURE, current, difference)
    says = f"{told}. Not judged: that takes {settings.large:,} users."
    return msgspec.structs.replace(found, outcome=NOT_JUDGED, says=says)


def not_worse(
    question: Question, figure: str, current: float, difference: Interval, margin: float
) -> Finding:
    """Passed where the interval shows that no more than ``margin`` of ``current`` is lost."""
    passed = difference.low >= -margin * current
    told = _told(question, figure, current, difference)
    if passed:
        says = f"{told}."
    elif difference.high < 0:
        says = (
            f"{told}. The candidate is worse, and chance does not explain it; at most "
            f"{percent(margin)} may be lost. Look at what changed in data and settings, and "
            "train again."
        )
    else:
        says = (
            f"{told}. At most {percent(margin)} may be lost, and these users are too few to "
            "show that no more is. Hold out more days, train again, or accept a wider --margin "
            "knowingly."
        )
    return _finding(question, figure, current, difference, says, passed=passed)


def no_loss(
    question: Question, current: float, difference: Interval, margin: float, number: int
) -> Finding:
    """Refused where a loss is beyond ``margin`` of ``current`` and the interval lies below 0.

    The interval is of one of ``number`` segments, corrected for that.
    """
    passed = difference.high >= 0 or difference.mean >= -margin * current
    told = _told(question, FIGURE, current, difference)
    says = f"{told}."
    if not passed:
        says = (
            f"{told}, the interval corrected for {number} segments. These lose by the "
            "candidate, whatever the whole gains. See that they are in the training data as "
            "before, train again, or accept it knowingly with a wider --segment-margin."
        )
    return _finding(question, FIGURE, current, difference, says, passed=passed)


def _told(question: Question, figure: str, current: float, difference: Interval) -> str:
    return f"{question.name} ({size_of(question)}): {change(figure, current, difference)}"


def _finding(
    question: Question, figure: str, current: float, found: Interval, says: str, *, passed: bool
) -> Finding:
    return Finding(
        about=question.name,
        figure=figure,
        current=round(current, 6),
        candidate=round(current + found.mean, 6),
        change=Interval(*(round(max(-1.0, each / current), 6) for each in found))
        if current
        else None,
        outcome=PASSED if passed else REFUSED,
        says=says,
    )
