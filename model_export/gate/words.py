"""Figures in sentences, and a decision as text for people."""

from __future__ import annotations

from textwrap import wrap
from typing import Final

from model_export.evaluation.metrics import Interval
from model_export.evaluation.segments import Question
from model_export.gate.verdict import REFUSED, Decision

WIDTH: Final = 100


def percent(share: float, *, signed: bool = False) -> str:
    """A share such as ``5 %`` or ``-6.2 %``."""
    text = f"{100 * share:+.1f}" if signed else f"{100 * share:.1f}".removesuffix(".0")
    return f"{text} %"


def size_of(question: Question) -> str:
    """How much a figure rests on."""
    return f"{len(question.places):,} baskets of {question.users:,} users"


def change(figure: str, current: float, difference: Interval) -> str:
    """Both figures and how they differ, with the interval."""
    told = f"{figure} {current + difference.mean:.4f}, the current model's {current:.4f}"
    if not current:
        return told
    mean, low, high = (percent(max(-1.0, each / current), signed=True) for each in difference)
    return f"{told}: {mean} [{low}, {high}]"


def text_of(decision: Decision) -> str:
    """A decision for a person at a terminal: each check, its figures, and what became of it."""
    against = f" against {decision.current}" if decision.current else ""
    lines = [f"{decision.candidate}{against}, on {decision.data}", ""]
    for verdict in decision.verdicts:
        says = verdict.says if not verdict.findings or verdict.outcome != REFUSED else ""
        said = f"{verdict.check}{': ' if says else ''}{says}"
        lines += _wrapped(said, f"{verdict.outcome:<12}", " " * 12)
        for finding in verdict.findings:
            mark = "x" if finding.outcome == REFUSED else "-"
            lines += _wrapped(finding.says, f"  {mark} ", "    ")
    if decision.verdicts:
        lines.append("")
    return "\n".join([*lines, *_wrapped(decision.says)])


def _wrapped(text: str, first: str = "", others: str = "") -> list[str]:
    """Lines that part neither a number from its per cent sign nor a path."""
    lines = wrap(
        text.replace(" %", "\u00a0%"),
        WIDTH,
        initial_indent=first,
        subsequent_indent=others,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [line.replace("\u00a0", " ") for line in lines]
