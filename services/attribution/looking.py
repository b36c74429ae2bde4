"""Looks at experiments: adds up what all partitions have counted, and goes on with the course."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple

import structlog

from services.attribution.adapters.courses import Courses, Seen
from services.attribution.adapters.experiment_files import ExperimentFiles
from services.attribution.adapters.kept_figures import KeptFigures
from services.attribution.domain.course import Course, looked
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
        self, figures: KeptFigures, courses: Courses, *, now: Callable[[], datetime]
    ) -> None:
        self._figures = figures
        self._courses = courses
        self._now = now

    async def look(self, shop_id: str, experiment: Experiment) -> Look:
        """Look, and keep what was seen unless somebody else has looked meanwhile.

        Raises RedisUnavailable.
        """
        parts = await self._figures.of_experiment(shop_id, experiment.name)
        tallies = added(
            experiment,
            [{arm: tally_of(measures) for arm, measures in part.items()} for part in parts],
        )
        before, kept = await self._courses.load(shop_id, experiment.name)
        at = self._now()
        course = looked(experiment, kept.course if kept else Course(), tallies, at)
        seen = Seen(since=kept.since if kept else at, course=course)
        if any(tally.exposed for tally in tallies.values()):
            await self._courses.save(shop_id, experiment.name, before, seen)
        return Look(tallies, seen)

    async def run(self, files: ExperimentFiles, every: float, is_ours: Callable[[], bool]) -> None:
        """Look at all experiments again and again, until cancelled; read files that changed."""
        while True:
            await asyncio.sleep(every)
            await asyncio.to_thread(files.refresh)
            if not is_ours():
                continue
            try:
                for shop_id, known in list(files.shops.items()):
                    for experiment in known.values():
                        await self.look(shop_id, experiment)
            except Unavailable as error:
                _log.warning("not_looked", code=error.code, reason=str(error))
