"""Figures and decisions of a report in words."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from services.attribution.domain.course import Point
from services.attribution.domain.report import ArmFigures, ArmReport, Report
from services.shared.experiments import Harm, Outcome

OUTCOMES: Final[Mapping[Outcome, str]] = {
    "spend": "what a shopper spends",
    "attributed_spend": "what a shopper spends on products chosen from our lists",
    "conversion": "the share of shoppers who buy something",
}

HARMS: Final[Mapping[Harm, str]] = {
    "fallback": "first answer was a fallback",
    "late": "first answer came late",
    "no_purchase": "bought nothing",
}

TIED: Final = "\u00a0"
"""A space at which no line is broken."""

VOID: Final = (
    "Decide nothing: shoppers do not come to the arms in the planned shares. Find where they are "
    "lost, repair it, and begin anew under another salt."
)


def harm(name: Harm) -> str:
    """What a guard watches."""
    return HARMS[name]


def percent(share: float, *, signed: bool = False) -> str:
    """A share such as ``5 %`` or ``-6.2 %``, on one line."""
    text = f"{100 * share:+.1f}" if signed else f"{100 * share:.1f}".removesuffix(".0")
    return f"{text}{TIED}%"


def day(moment: datetime) -> str:
    """A day by UTC, such as ``2026-03-01``."""
    return f"{moment.astimezone(UTC):%Y-%m-%d}"


def mean(report: Report, figures: ArmFigures) -> str:
    """An arm's mean with its unit; a dash while there is none."""
    if figures.mean is None:
        return "-"
    currency = report.experiment.metric.currency
    return f"{figures.mean:,.2f} {currency}" if currency else f"{100 * figures.mean:.2f}{TIED}%"


def difference(report: Report, point: Point) -> str:
    """The difference and its interval, and both as shares of the control's mean."""
    values = (point.estimate, point.low, point.high)
    currency = report.experiment.metric.currency
    scale, unit = (1, currency) if currency else (100, "points")
    found, low, high = (f"{scale * value:+,.2f}" for value in values)
    told = f"{found} {unit} [{low}, {high}]"
    if not report.control.mean:
        return told
    found, low, high = (percent(value / report.control.mean, signed=True) for value in values)
    return f"{told}, {found} [{low}, {high}]"


def decision(report: Report, arm: ArmReport) -> str:
    """What is decided, why, and what to do."""
    if arm.decision == "stop_arm":
        return _stop(report, arm)
    if report.is_void:
        return "Nothing is decided."
    if arm.newest is None:
        return _too_few(report, arm)
    told = difference(report, arm.newest)
    if arm.decided_at is None:
        return f"Nothing is shown yet ({told}). Go on."
    since = f"as shown on {day(arm.decided_at)}; {told} now"
    if arm.decision == "winner":
        return f"A winner: better than the control, {since}. It may take over."
    least = percent(report.experiment.metric.least_uplift)
    return (
        f"No difference that would matter, {since}. It is less than {least} of the control's mean "
        "either way: keep whichever is simpler."
    )


def _stop(report: Report, arm: ArmReport) -> str:
    harms = [guard for guard in arm.guards if guard.alarms]
    if not harms:
        told = "" if arm.newest is None else f" ({difference(report, arm.newest)})"
        return f"Stop it: worse than the control{told}."
    told = ", ".join(
        f"{harm(each.harm)}: {percent(each.share or 0)} of its shoppers, "
        f"{percent(each.control_share or 0)} of the control's, {percent(each.margin)} more allowed"
        for each in harms
    )
    return f"A guard has stopped it: it does harm ({told})."


def _too_few(report: Report, arm: ArmReport) -> str:
    return (
        f"Too early to say: it takes {report.active_needed} shoppers in each arm who bought "
        f"something; the arm has {arm.figures.active:,}, the control {report.control.active:,}."
    )
