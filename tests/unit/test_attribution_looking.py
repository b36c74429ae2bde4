"""Looks at experiments, on fakes; and the files that say which there are."""

from __future__ import annotations

import asyncio
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from services.attribution.adapters.courses import MemoryCourses
from services.attribution.adapters.experiment_files import ExperimentFiles, experiment_files
from services.attribution.adapters.kept_figures import Arms
from services.attribution.domain.counts import Counts
from services.attribution.looking import Looking
from services.shared.errors import BadSetting, RedisUnavailable
from tests.attribution_parts import SHOP
from tests.profile_events import NOON
from tests.unit.test_attribution_units import experiment
from tests.waiting import eventually_async

FILE = """
layers: [{name: lists, salt: lists-1}]
experiments:
  - name: NAME
    layer: lists
    salt: NAME-1
    traffic: [0, 10000]
    arms: [{name: a, share: 0.5}, {name: b, share: 0.5}]
    hypothesis: It sells more.
    metric: {outcome: conversion}
    window_days: 7
    planned_shoppers: 100
"""


class Figures:
    """What two partitions have counted."""

    def __init__(self, *parts: Arms) -> None:
        self.parts = parts
        self.away = False
        self.asked = 0

    async def of_days(self, shop_id: str, days: object) -> Counts:
        raise NotImplementedError

    async def of_experiment(self, shop_id: str, experiment: str) -> list[Arms]:
        self.asked += 1
        if self.away:
            raise RedisUnavailable("away")
        return list(self.parts)


class Clock:
    """The time, as told."""

    now = NOON

    def __call__(self) -> datetime:
        return self.now


async def test_a_look_adds_up_all_partitions() -> None:
    """And goes on from the look before; it is counted since the first that found somebody."""
    figures, courses, clock = Figures(), MemoryCourses(), Clock()
    looking = Looking(figures, courses, now=clock)
    await looking.look(SHOP, experiment())
    assert courses.kept == {}
    figures.parts = ({"a": {"exposed": 4}}, {"a": {"exposed": 1}, "b": {"exposed": 200}})
    found = await looking.look(SHOP, experiment())
    assert [found.tallies[arm].exposed for arm in "ab"] == [5, 200]
    assert found.seen.course.is_void
    figures.parts = ({"a": {"exposed": 200}, "b": {"exposed": 200}},)
    clock.now = NOON + timedelta(hours=1)
    again = await looking.look(SHOP, experiment())
    assert again.seen.course.is_void, "what a look has found stays found"
    assert (again.seen.since, again.seen.course.at) == (NOON, clock.now)


async def test_two_who_look_at_once() -> None:
    """The second does not undo what the first has kept."""
    courses = MemoryCourses()
    looking = Looking(Figures({"a": {"exposed": 1}}), courses, now=Clock())
    first = await looking.look(SHOP, experiment())
    assert not await courses.save(SHOP, "calm", b"", first.seen)
    assert (await courses.load(SHOP, "calm"))[1] == first.seen


async def test_looks_go_on(tmp_path: Path) -> None:
    """At all experiments of all shops, by who has the partition, also after Redis was away."""
    (tmp_path / "demo.yaml").write_text(FILE.replace("NAME", "calm"))
    files, courses = ExperimentFiles(tmp_path), MemoryCourses()
    figures = Figures({"a": {"exposed": 1}})
    figures.away = True
    ours = False
    looking = Looking(figures, courses, now=Clock())
    job = asyncio.create_task(looking.run(files, 0.001, lambda: ours))
    await eventually_async(lambda: asyncio.sleep(0, bool(files.shops)), within=9)
    ours = True
    await eventually_async(lambda: asyncio.sleep(0, figures.asked > 1), within=9)
    assert courses.kept == {}
    figures.away = False
    await eventually_async(lambda: asyncio.sleep(0, bool(courses.kept)), within=9)
    job.cancel()


def test_files_that_change(tmp_path: Path) -> None:
    """A new one is read, a changed one again, one that cannot be read stays as it was known."""
    files, path = ExperimentFiles(tmp_path), tmp_path / "demo.yaml"
    files.refresh()
    assert files.of("demo") == {}
    moment = datetime.now(UTC).timestamp()
    for age, text, known in (
        (5, FILE.replace("NAME", "calm"), {"calm"}),
        (4, FILE.replace("NAME", "loud"), {"loud"}),
        (3, "experiments: [", {"loud"}),
        (2, FILE.replace("NAME", "calm").replace("0.5", "0.9"), {"loud"}),
        (1, "scenarios: {}", set()),
    ):
        path.write_text(text)
        os.utime(path, (moment - age, moment - age))
        files.refresh()
        assert set(files.of("demo")) == known
    path.write_text(FILE.replace("NAME", "calm"))
    files.refresh()
    path.unlink()
    files.refresh()
    assert files.shops == {}


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    """It stops the start; none at all is no mistake."""
    with pytest.raises(BadSetting, match="is not there"):
        experiment_files(str(tmp_path / "none"))
    none = experiment_files("")
    none.refresh()
    assert none.of("demo") == {}
