"""What experiments alarm of, as a gauge: an alert needs no report that somebody must ask for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, get_args

from prometheus_client import Gauge

from services.attribution.domain.course import Course, fallen
from services.shared.experiments import Experiment, Harm

SHARES: Final = "shares"
"""Shoppers do not come in the planned shares."""
WORSE: Final = "worse"
"""Arms that sell less. They are not stopped by themselves."""
KINDS: Final = (SHARES, WORSE, *get_args(Harm))

ALARMS = Gauge(
    "experiment_alarms",
    "Arms of a running experiment that alarm, by kind; 1 where the shares are wrong.",
    ["shop", "experiment", "kind"],
)


class Alarms:
    """The gauge of one process; of experiments that are gone it says nothing any more."""

    def __init__(self) -> None:
        self._shown: set[tuple[str, str]] = set()

    def keep(self, known: Iterable[tuple[str, str]]) -> None:
        """Of others than these, each a shop and an experiment, nothing is shown any more."""
        gone = self._shown - set(known)
        self._shown -= gone
        for shop_id, name in gone:
            for kind in KINDS:
                ALARMS.remove(shop_id, name, kind)

    def show(self, shop_id: str, experiment: Experiment, course: Course) -> None:
        """What is to be said of one, as of its newest look."""
        self._shown.add((shop_id, experiment.name))
        counts = dict.fromkeys(KINDS, 0)
        counts[SHARES] = int(course.is_void)
        for arm in course.arms:
            harms = fallen(experiment, arm)
            for harm in harms:
                counts[harm] += 1
            counts[WORSE] += arm.decision == "stop_arm" and not harms
        for kind, count in counts.items():
            ALARMS.labels(shop_id, experiment.name, kind).set(count)
