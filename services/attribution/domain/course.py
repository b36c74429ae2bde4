"""What becomes of an experiment from look to look.

A decision is right if evidence was enough at *any* look, so it stays once it is made: a later look
with less evidence takes nothing back. Two things overrule it. A guard stops an arm also after it
has won; and when shoppers turn out not to come in the planned shares, there is no winner and
no equality any more, as those rest on the shares. Stopping stands: it is the safe side.

A guard that falls stops its arm by itself, see :func:`stopped_by_guards`. That an arm sells less is
only told to people, who may know better, of novelty for instance; guards go on watching it.

The whole is bounded: an arm keeps at most :data:`POINTS` looks for its chart, evenly spaced; when
there are more, every other one goes.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

import msgspec

from services.attribution.domain import verdict as verdicts
from services.attribution.domain.difference import Difference
from services.attribution.domain.tally import Tallies
from services.attribution.domain.verdict import RATIO_LEVEL, Decision
from services.shared.experiments import Arm, Experiment, Harm
from services.shared.stopped_arms import StoppedArm

POINTS: Final = 200
"""Looks that an arm's chart has at most."""


class Point(msgspec.Struct, frozen=True, gc=False):
    """One look at an arm: its mean less the control's, with the interval at this moment."""

    shoppers: int
    """Of the arm and the control, whose window had closed."""
    estimate: float
    low: float
    high: float


class ArmCourse(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one arm."""

    arm: str
    decision: Decision = "continue"
    decided_at: datetime | None = None
    p: float = 1.0
    """The always-valid p-value: the least of all looks."""
    newest: Point | None = None
    """The newest look at which there was something to judge."""
    explained: float = 0.0
    """The share of the variance that CUPED took out, by then."""
    least: float = 0.0
    """The least difference that would matter, at the newest look."""
    harms: dict[Harm, float] = {}
    """Logarithm of the greatest evidence of each guard."""
    points: tuple[Point, ...] = ()
    stride: int = 1
    """Looks from point to point."""
    looks: int = 0
    """At which there was something to judge."""


class Course(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the experiment."""

    at: datetime | None = None
    """The newest look."""
    ratio_evidence: float = 0.0
    """Logarithm of the greatest evidence that shoppers do not come in the planned shares."""
    arms: tuple[ArmCourse, ...] = ()
    """But the control."""

    @property
    def is_void(self) -> bool:
        """Whether the shares were found wrong."""
        return self.ratio_evidence >= RATIO_LEVEL


def looked(experiment: Experiment, course: Course, tallies: Tallies, at: datetime) -> Course:
    """Take in a look at what is counted by ``at``; a first one goes on from ``Course()``.

    ``tallies`` has all arms, see :func:`services.attribution.domain.tally.added`.
    """
    evidence = verdicts.ratio_evidence(experiment, tallies)
    known = {each.arm: each for each in course.arms}
    after = Course(at=at, ratio_evidence=max(course.ratio_evidence, evidence))
    arms = tuple(
        _followed(experiment, arm, known.get(arm.name, ArmCourse(arm=arm.name)), tallies, after)
        for arm in experiment.arms[1:]
    )
    return msgspec.structs.replace(after, arms=arms)


def fallen(experiment: Experiment, arm: ArmCourse) -> list[Harm]:
    """The guards that have ever alarmed of an arm, the one with most evidence first."""
    level = verdicts.harm_level(experiment)
    found = [harm for harm, evidence in arm.harms.items() if evidence >= level]
    return sorted(found, key=lambda harm: -arm.harms[harm])


def stopped_by_guards(experiment: Experiment, course: Course) -> list[StoppedArm]:
    """The arms that the course's newest look, or one before it, found to do harm.

    Nothing where there was no look. Also of an experiment that is void, see above.
    """
    if course.at is None:
        return []
    found = ((arm.arm, fallen(experiment, arm)) for arm in course.arms)
    return [
        StoppedArm(experiment=experiment.name, arm=name, harm=harms[0], at=course.at)
        for name, harms in found
        if harms
    ]


def _followed(
    experiment: Experiment, arm: Arm, before: ArmCourse, tallies: Tallies, course: Course
) -> ArmCourse:
    """The arm after a look; one that is to be stopped is not judged any more, only watched."""
    if arm.stopped:
        return before
    harms = verdicts.harm_evidence(experiment, arm, tallies)
    greatest = {harm: max(each, before.harms.get(harm, 0.0)) for harm, each in harms.items()}
    if before.decision == "stop_arm":
        return msgspec.structs.replace(before, harms=greatest)
    found = verdicts.arm_difference(experiment, arm, tallies)
    least = verdicts.least_difference(experiment, tallies)
    level = verdicts.harm_level(experiment)
    seen = verdicts.verdict(found, harms, harm_level=level, least=least)
    decision = _kept(before.decision, seen, is_void=course.is_void)
    after = msgspec.structs.replace(
        before,
        decision=decision,
        decided_at=_since(before, decision, course),
        least=least,
        harms=greatest,
    )
    units = tallies[arm.name].sums.shoppers + tallies[experiment.control.name].sums.shoppers
    return after if found is None else _drawn(after, found, units)


def _since(before: ArmCourse, decision: Decision, course: Course) -> datetime | None:
    """When the decision was made; nothing is decided while it goes on."""
    if decision == "continue":
        return None
    return before.decided_at if decision == before.decision else course.at


def _kept(before: Decision, seen: Decision, *, is_void: bool) -> Decision:
    if seen == "stop_arm":
        return seen
    if is_void:
        return "continue"
    return seen if before == "continue" else before


def _drawn(arm: ArmCourse, found: Difference, units: int) -> ArmCourse:
    """With the look among the points, where it is the turn of one."""
    points, stride = arm.points, arm.stride
    newest = Point(units, found.estimate, found.low, found.high)
    if arm.looks % stride == 0:
        points = (*points, newest)
    if len(points) > POINTS:
        points, stride = points[::2], 2 * stride
    return msgspec.structs.replace(
        arm,
        p=min(arm.p, found.p),
        newest=newest,
        explained=found.explained,
        points=points,
        stride=stride,
        looks=arm.looks + 1,
    )
