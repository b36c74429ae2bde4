"""What an experiment's report says, in figures: for programs as it is, for people as a page.

Money is in units of the currency, shares are between 0 and 1. Its size is bounded, as those of an
experiment's arms, guards and points are.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Final

import msgspec

from services.attribution.domain.course import ArmCourse, Course, Point
from services.attribution.domain.difference import ACTIVE
from services.attribution.domain.sums import HUNDREDTHS
from services.attribution.domain.tally import Tallies, Tally
from services.attribution.domain.verdict import RATIO_ALPHA, Decision, harm_level
from services.shared.experiments import Arm, Experiment, Guard, Harm

MOST: Final = 30.0
"""Logarithm of evidence beyond which a number says nothing more."""


class ArmFigures(msgspec.Struct, frozen=True, kw_only=True):
    """What was counted of an arm."""

    arm: str
    share: float
    """As planned."""
    exposed: int
    shoppers: int
    """Whose window has closed."""
    active: int
    """Of those, with an outcome other than 0."""
    mean: float | None
    """Of the outcome; none while no window has closed."""


class GuardFigures(msgspec.Struct, frozen=True, kw_only=True):
    """What a guard has seen of an arm."""

    harm: Harm
    margin: float
    shoppers: int
    share: float | None
    """Of the arm's shoppers whom the harm befell."""
    control_share: float | None
    evidence: float
    """The greatest so far; the arm is stopped at ``needed``."""
    needed: float

    @property
    def alarms(self) -> bool:
        """Whether it stops the arm."""
        return self.evidence >= self.needed


class ArmReport(msgspec.Struct, frozen=True, kw_only=True):
    """An arm beside the control."""

    figures: ArmFigures
    decision: Decision
    decided_at: datetime | None
    newest: Point | None
    """The difference and its interval; none while it cannot be judged."""
    p: float
    """Always valid, and corrected for the number of arms: below 0.05 is a difference."""
    explained: float
    """The share of the variance that CUPED took out."""
    least: float
    """The least difference that would matter."""
    guards: tuple[GuardFigures, ...]
    points: tuple[Point, ...]


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """An experiment at its newest look."""

    experiment: Experiment
    since: datetime
    """The first exposure."""
    at: datetime
    control: ArmFigures
    arms: tuple[ArmReport, ...]
    ratio_evidence: float
    """The greatest so far that shoppers do not come in the planned shares."""
    ratio_needed: float
    is_void: bool
    """Whether it is so: then nothing may be concluded."""
    active_needed: int = ACTIVE
    """Shoppers with an outcome other than 0 that each arm needs to be judged."""


def report(
    experiment: Experiment, tallies: Tallies, course: Course, *, since: datetime, at: datetime
) -> Report:
    """The report of what is counted, and of the course of all looks so far."""
    unit = 1 if experiment.metric.outcome == "conversion" else HUNDREDTHS
    control = tallies[experiment.control.name]
    courses = {each.arm: each for each in course.arms}
    return Report(
        experiment=experiment,
        since=since,
        at=at,
        control=_figures(experiment.control, control, unit),
        arms=tuple(
            _arm(experiment, arm, tallies, courses.get(arm.name, ArmCourse(arm=arm.name)), unit)
            for arm in experiment.arms[1:]
        ),
        ratio_evidence=_evidence(course.ratio_evidence),
        ratio_needed=1 / RATIO_ALPHA,
        is_void=course.is_void,
    )


def report_json(report: Report) -> bytes:
    """The report for programs."""
    return msgspec.json.format(msgspec.json.encode(report)) + b"\n"


def _arm(
    experiment: Experiment, arm: Arm, tallies: Tallies, course: ArmCourse, unit: int
) -> ArmReport:
    tally, control = tallies[arm.name], tallies[experiment.control.name]
    needed = math.exp(harm_level(experiment))
    return ArmReport(
        figures=_figures(arm, tally, unit),
        decision=course.decision,
        decided_at=course.decided_at,
        newest=None if course.newest is None else _in_units(course.newest, unit),
        p=min(1.0, course.p * (len(experiment.arms) - 1)),
        explained=course.explained,
        least=course.least / unit,
        guards=tuple(
            _guard(guard, tally, control, course.harms, needed) for guard in experiment.guards
        ),
        points=tuple(_in_units(point, unit) for point in course.points),
    )


def _figures(arm: Arm, tally: Tally, unit: int) -> ArmFigures:
    sums = tally.sums
    return ArmFigures(
        arm=arm.name,
        share=arm.share,
        exposed=tally.exposed,
        shoppers=sums.shoppers,
        active=sums.active,
        mean=sums.outcome / sums.shoppers / unit if sums.shoppers else None,
    )


def _guard(
    guard: Guard, arm: Tally, control: Tally, evidence: Mapping[Harm, float], needed: float
) -> GuardFigures:
    seen, beside = arm.harm(guard.harm), control.harm(guard.harm)
    return GuardFigures(
        harm=guard.harm,
        margin=guard.margin,
        shoppers=seen.shoppers,
        share=seen.harmed / seen.shoppers if seen.shoppers else None,
        control_share=beside.harmed / beside.shoppers if beside.shoppers else None,
        evidence=_evidence(evidence.get(guard.harm, 0.0)),
        needed=needed,
    )


def _in_units(point: Point, unit: int) -> Point:
    return Point(point.shoppers, point.estimate / unit, point.low / unit, point.high / unit)


def _evidence(logarithm: float) -> float:
    return math.exp(min(logarithm, MOST))
