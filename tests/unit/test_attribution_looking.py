"""Looks at experiments, on fakes; and the files that say which there are."""

from __future__ import annotations

import asyncio
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from services.attribution.adapters.courses import MemoryCourses
from services.attribution.adapters.experiment_files import ExperimentFiles, experiment_files
from services.attribution.adapters.kept_figures import Arms
from services.attribution.adapters.stops import MemoryStops
from services.attribution.alarms import KINDS, Alarms
from services.attribution.domain.counts import Counts
from services.attribution.domain.course import ArmCourse, Course
from services.attribution.domain.units import HARMED, SEEN
from services.attribution.looking import Looking
from services.shared.errors import BadSetting, RedisUnavailable
from services.shared.experiments import Experiment, Guard
from services.shared.stopped_arms import StoppedArm
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
    looking = Looking(figures, courses, MemoryStops(), now=clock)
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


BROKEN: Arms = {
    "a": {"exposed": 40, "fallback" + SEEN: 40},
    "b": {"exposed": 40, "fallback" + SEEN: 40, "fallback" + HARMED: 40},
}


def guarded() -> Experiment:
    """An experiment with a guard."""
    return experiment(guards=(Guard(harm="fallback", margin=0.01),))


async def test_a_guard_that_falls_stops_its_arm() -> None:
    """The servers are told once, people too; and anew where Redis has lost it."""
    stops, clock = MemoryStops(), Clock()
    figures = Figures({"a": {"exposed": 1}})
    looking = Looking(figures, MemoryCourses(), stops, now=clock)
    await looking.look(SHOP, guarded())
    assert stops.kept == {}
    figures.parts = (BROKEN,)
    with capture_logs() as logs:
        await looking.look(SHOP, guarded())
        clock.now = NOON + timedelta(hours=1)
        await looking.look(SHOP, guarded())
    stopped = StoppedArm(experiment="calm", arm="b", harm="fallback", at=NOON)
    assert stops.kept == {(SHOP, b"calm/b"): stopped}
    said = {"shop_id": SHOP, "experiment": "calm", "arm": "b", "harm": "fallback"}
    assert logs == [{"event": "arm_stopped", "log_level": "warning", **said}]
    stops.kept.clear()
    figures.parts = ({"a": {"exposed": 1}},)
    await looking.look(SHOP, guarded())
    assert list(stops.kept) == [(SHOP, b"calm/b")]


async def test_wrong_shares_are_said_once() -> None:
    """By the look that finds them."""
    figures = Figures({"a": {"exposed": 5}, "b": {"exposed": 200}})
    looking = Looking(figures, MemoryCourses(), MemoryStops(), now=Clock())
    with capture_logs() as logs:
        for _ in range(2):
            await looking.look(SHOP, experiment())
    said = {"shop_id": SHOP, "experiment": "calm"}
    assert logs == [{"event": "shares_are_wrong", "log_level": "warning", **said}]


async def test_two_who_look_at_once() -> None:
    """The second does not undo what the first has kept."""
    courses = MemoryCourses()
    looking = Looking(Figures({"a": {"exposed": 1}}), courses, MemoryStops(), now=Clock())
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
    looking = Looking(figures, courses, MemoryStops(), now=Clock())
    job = asyncio.create_task(looking.run(files, 0.001, lambda: ours))
    await eventually_async(lambda: asyncio.sleep(0, bool(files.shops)), within=30)
    ours = True
    await eventually_async(lambda: asyncio.sleep(0, figures.asked > 1), within=30)
    assert courses.kept == {}
    figures.away = False
    await eventually_async(lambda: asyncio.sleep(0, bool(courses.kept)), within=30)
    job.cancel()


def alarms(kind: str) -> float | None:
    """What the gauge says of the experiment."""
    labels = {"shop": "demo", "experiment": "calm", "kind": kind}
    return REGISTRY.get_sample_value("experiment_alarms", labels)


@pytest.mark.parametrize("ending", ["partition", "file"])
async def test_alarms_are_a_gauge(tmp_path: Path, ending: str) -> None:
    """By kind, of experiments that there are, by the process that looks."""
    path = tmp_path / "demo.yaml"
    guards = "    guards: [{harm: fallback, margin: 0.01}]\n"
    path.write_text(FILE.replace("NAME", "calm") + guards)
    ours = True
    looking = Looking(Figures(BROKEN), MemoryCourses(), MemoryStops(), now=Clock())
    job = asyncio.create_task(looking.run(ExperimentFiles(tmp_path), 0.001, lambda: ours))
    await eventually_async(lambda: asyncio.sleep(0, alarms("fallback") == 1), within=30)
    assert [alarms(kind) for kind in ("shares", "worse", "late", "no_purchase")] == [0, 0, 0, 0]
    if ending == "partition":
        ours = False
    else:
        path.unlink()
    await eventually_async(lambda: asyncio.sleep(0, alarms("fallback") is None), within=30)
    job.cancel()


def test_alarms_tell_arms_apart() -> None:
    """Those that sell less from those that do harm, and either from wrong shares."""
    of = experiment(guards=(Guard(harm="fallback", margin=0.01),))
    shown = Alarms()
    worse = ArmCourse(arm="b", decision="stop_arm")
    harming = ArmCourse(arm="b", decision="stop_arm", harms={"fallback": 99.0})
    for course, told in (
        (Course(arms=(worse,)), {"worse": 1}),
        (Course(arms=(harming,)), {"fallback": 1}),
        (Course(ratio_evidence=99.0), {"shares": 1}),
        (Course(), {}),
    ):
        shown.show("demo", of, course)
        assert {kind: alarms(kind) for kind in KINDS} == dict.fromkeys(KINDS, 0) | told
    shown.keep(())
    assert {alarms(kind) for kind in KINDS} == {None}


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
