"""What a check is, and what it says.

A check of one's own is an object with a name and :meth:`Check.judge`; see
:mod:`model_export.gate.plugins` for how it is found, and
:class:`model_export.gate.small_merchants.SmallMerchants` for an example.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, Protocol, runtime_checkable

import msgspec

from model_export.evaluation.metrics import Interval

if TYPE_CHECKING:
    from model_export.gate.comparison import Comparison

Outcome = Literal["passed", "refused", "not judged"]

PASSED: Final = "passed"
REFUSED: Final = "refused"
NOT_JUDGED: Final = "not judged"


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One figure of both models, and what it means for the candidate."""

    about: str
    """Such as ``all purchases`` or ``group 35-44``."""
    figure: str
    """Such as ``NDCG@10``."""
    current: float
    candidate: float
    change: Interval | None
    """As a share of the current figure, with its interval; none where that figure is 0."""
    outcome: Outcome
    says: str
    """A sentence or more: what it means and, where it refuses, what to do."""


class Verdict(msgspec.Struct, frozen=True):
    """What one check says of a candidate; ``not judged`` does not stop it."""

    check: str
    outcome: Outcome
    says: str
    findings: list[Finding] = []


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a candidate, and why."""

    candidate: str
    """Its version."""
    current: str | None
    """The version that was there; none where there was no bundle."""
    data: str
    accepted: bool
    installed: bool
    """Whether it is in the current folder now."""
    says: str
    verdicts: list[Verdict]
    """Of each check; none where there was nothing to compare with."""


@runtime_checkable
class Check(Protocol):
    """Judges a candidate beside the current model."""

    @property
    def name(self) -> str:
        """How people call it; no two checks of one run share a name."""
        ...

    def judge(self, comparison: Comparison) -> Verdict:
        """Look at both models; neither change nor keep anything of ``comparison``."""
        ...


def verdict(check: str, findings: list[Finding], *, passed: str) -> Verdict:
    """Refused where a finding is, else ``passed`` says why it is not."""
    refused = [each for each in findings if each.outcome == REFUSED]
    if not refused:
        return Verdict(check, PASSED, passed, findings)
    return Verdict(check, REFUSED, " ".join(each.says for each in refused), findings)
