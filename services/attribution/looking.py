"""Looks at experiments: adds up what all partitions have counted, and goes on with the course.

What a look finds is not only kept. The servers are told of an arm whose guard has fallen, and serve
its shoppers as the control's from then on; people find it in the log and the gauge.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple

import structlog

from services.attribution.adapters.courses import Courses, Seen
from services.attribution.adapters.experiment_files import ExperimentFiles
from services.attribution.adapters.kept_figures import KeptFigures
from services.attribution.adapters.stops import Stops
from services.attribution.alarms import Alarms
from services.attribution.domain.course import Course, looked, stopped_by_guards
from services.attribution.domain.tally import Tallies, added
from services.attribution.domain.units import tally_of
from services.shared.errors import Unavailable
from services.shared.experiments import Experiment

LOOKING_PARTITION = 0
"""Who has it looks; looks of two at once would do no harm."""

_log = structlog.get_logger()


class Look(NamedTuple):
    """One look at an experiment."""

    tallies: Tallies
    seen: Seen


class Looking:
    """Looks at experiments."""

    def __init__(
        self, figures: KeptFigures, courses: Courses, stops: Stops, *, now: Callable[[], datetime]
    ) -> None:
        self._figures = figures
        self._courses = courses
        self._stops = stops
        self._now = now
        self._alarms = Alarms()

    async def look(self, shop_id: str, experiment: Experiment) -> Look:
        """Look, and keep what was seen unless somebody else has looked meanwhile.

        Arms that a guard has stopped by then are told to the servers, at each look anew: so they
        come to know of it also where this ended, or Redis lost its last second, in between. Raises
        RedisUnavailable.
        """
        parts = await self._figures.of_experiment(shop_id, experiment.name)
        tallies = added(
            experiment,
            [{arm: tally_of(measures) for arm, measures in part.items()} for part in parts],
        )
        before, kept = await self._courses.load(shop_id, experiment.name)
        at = self._now()
        known = kept.course if kept else Course()
        seen = Seen(since=kept.since if kept else at, course=looked(experiment, known, tallies, at))
        if any(tally.exposed for tally in tallies.values()):
            is_kept = await self._courses.save(shop_id, experiment.name, before, seen)
            if is_kept and seen.course.is_void and not known.is_void:
                _log.warning("shares_are_wrong", shop_id=shop_id, experiment=experiment.name)
        await self._stop(shop_id, experiment, seen.course)
        return Look(tallies, seen)

    async def _stop(self, shop_id: str, experiment: Experiment, course: Course) -> None:
        for each in stopped_by_guards(experiment, course):
            if await self._stops.add(shop_id, each):
                _log.warning(
                    "arm_stopped",
                    shop_id=shop_id,
                    experiment=each.experiment,
                    arm=each.arm,
                    harm=each.harm,
                )

    async def run(self, files: ExperimentFiles, every: float, is_ours: Callable[[], bool]) -> None:
        """Look at all experiments again and again, until cancelled; read files that changed."""
        while True:
            await asyncio.sleep(every)
            await asyncio.to_thread(files.refresh)
            if not is_ours():
                self._alarms.keep(())
                continue
            try:
                await self._look_at_all(files)
            except Unavailable as error:
                _log.warning("not_looked", code=error.code, reason=str(error))

    async def _look_at_all(self, files: ExperimentFiles) -> None:
        known = [(shop, each) for shop, some in files.shops.items() for each in some.values()]
        self._alarms.keep((shop_id, each.name) for shop_id, each in known)
        for shop_id, experiment in known:
            found = await self.look(shop_id, experiment)
            self._alarms.show(shop_id, experiment, found.seen.course)
