"""What is decided of an arm at one look.

How often it errs: where nothing is different, any arm of an experiment is ever called better or
worse with probability at most :data:`ALPHA`; any of its guards ever stops an arm that harms by no
more than the margin with at most :data:`HARM_ALPHA`; and the check of shares ever alarms with at
most :data:`RATIO_ALPHA`. Within a family the probability is divided by the number of questions
(Bonferroni): right however arms and guards hang together, and free with two arms and one guard.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final, Literal

from services.attribution.domain.difference import Difference, difference
from services.attribution.domain.harm import log_capital
from services.attribution.domain.sample_ratio import log_evidence
from services.attribution.domain.tally import Tallies
from services.shared.experiments import Arm, Experiment, Harm

ALPHA: Final = 0.05
"""Of calling an arm better or worse; all arms together."""
HARM_ALPHA: Final = 0.05
"""Of stopping an arm by a guard; all arms and guards together."""
RATIO_ALPHA: Final = 0.01
"""Of an alarm that the shares are not the planned ones; it makes a whole experiment void."""

Decision = Literal["continue", "stop_arm", "winner", "no_difference"]


def arm_alpha(experiment: Experiment) -> float:
    """What each arm's comparison with the control may err."""
    return ALPHA / (len(experiment.arms) - 1)


def harm_level(experiment: Experiment) -> float:
    """Logarithm of the capital at which a guard stops an arm."""
    questions = (len(experiment.arms) - 1) * len(experiment.guards)
    return math.log(max(1, questions) / HARM_ALPHA)


RATIO_LEVEL: Final = -math.log(RATIO_ALPHA)
"""Logarithm of the evidence at which the shares are wrong."""


def ratio_evidence(experiment: Experiment, tallies: Tallies) -> float:
    """Logarithm of the evidence that shoppers do not come in the planned shares."""
    counts = [tallies[arm.name].exposed for arm in experiment.arms]
    return log_evidence(counts, [arm.share for arm in experiment.arms])


def arm_difference(experiment: Experiment, arm: Arm, tallies: Tallies) -> Difference | None:
    """How the arm's metric differs from the control's; None while that cannot be judged."""
    control = experiment.control
    return difference(
        tallies[arm.name].sums,
        tallies[control.name].sums,
        planned=experiment.planned_shoppers * (arm.share + control.share),
        alpha=arm_alpha(experiment),
    )


def harm_evidence(experiment: Experiment, arm: Arm, tallies: Tallies) -> dict[Harm, float]:
    """Logarithm of the evidence of each guard that the arm does harm beyond the margin."""
    control = experiment.control
    return {
        guard.harm: log_capital(
            tallies[arm.name].harm(guard.harm),
            tallies[control.name].harm(guard.harm),
            chance=arm.share / (arm.share + control.share),
            margin=guard.margin,
            usual=guard.usual,
        )
        for guard in experiment.guards
    }


def least_difference(experiment: Experiment, tallies: Tallies) -> float:
    """The least difference that would matter, in units of the outcome."""
    control = tallies[experiment.control.name].sums
    return experiment.metric.least_uplift * control.outcome / max(1, control.shoppers)


def verdict(
    found: Difference | None, harms: Mapping[Harm, float], *, harm_level: float, least: float
) -> Decision:
    """The decision of one look, by evidence at this look alone.

    An arm that harms is stopped whatever it sells. ``no_difference`` says that what difference
    there may be is less than would matter, not that none was found yet.
    """
    if any(evidence >= harm_level for evidence in harms.values()):
        return "stop_arm"
    if found is None:
        return "continue"
    if found.high < 0:
        return "stop_arm"
    if found.low > 0:
        return "winner"
    return "no_difference" if -least < found.low and found.high < least else "continue"
