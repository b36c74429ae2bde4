"""``models advance`` and ``models retrain`` as a scheduler calls them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from services.attribution.domain.counts import ANSWERS, CLICKS, SHOWN, Counts, Row
from services.attribution.showing import Choice, show
from services.recommendations.adapters import child, click_counts
from services.recommendations.adapters.child import Ended
from services.recommendations.adapters.registry import Registry, pair_of
from services.recommendations.adapters.round_folder import opened
from services.recommendations.advancing import advance
from services.recommendations.domain.comparison import Compared
from services.recommendations.domain.guards import Clicks
from services.recommendations.domain.next_step import RETRAINING, Counted, Terms
from services.recommendations.domain.serving import Serving
from services.recommendations.domain.transitions import (
    Transition,
    canary,
    promote,
    publish,
    shadow,
    stop_canary,
)
from services.recommendations.model_commands import run_command
from services.shared.archive_storage import LocalStorage
from services.shared.errors import StepUnfinished
from tests.tiny_bundle import write_json
from tests.trial_parts import HOUR, bundle, tally

TERMS = Terms(shadow_hours=10, compared=500, canary_hours=20)
DAY = 24 * HOUR


class Desk:
    """A registry in which ``b`` is in the shadow of ``a``, a clock and the command line."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.now = folder, time.time_ns() // 1000 - HOUR
        self.registry = Registry(LocalStorage(folder / "registry"), lambda: self.now)
        for version in "ab":
            self.change(partial(publish, bundle=bundle(version)))
        self.change(partial(promote, version="a"))
        self.change(partial(shadow, version="b", sample=0.1), RETRAINING)
        self.said: list[str] = []
        self.remarked: list[str] = []

    def change(self, transition: Transition, who: str = "ana") -> None:
        self.registry.change("demo", transition, who=who, what="", why="")

    def advance(self, told: str = "") -> int:
        self.said.clear()
        self.remarked.clear()
        place = ["--registry", str(self.folder / "registry"), "--shop", "demo"]
        say, remark = self.said.append, self.remarked.append
        return run_command(["advance", *place, *told.split()], {}, say=say, remark=remark)

    @property
    def serving(self) -> Serving:
        return self.registry.serving("demo")

    def compared(self, process: str, answers: int, **told: Any) -> None:
        """What a server has seen."""
        found = Compared(served="a", shadow="b", scenarios={"home": tally(answers, **told)})
        write_json(self.folder / "note", found)
        note = (self.folder / "note").read_bytes()
        self.registry.keep_note("demo", pair_of("a", "b"), process, note)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_what_all_servers_have_compared_counts(desk: Desk) -> None:
    """Their answers together are enough; the sentences say what was done, and why."""
    desk.compared("one", 300)
    terms = "--shadow-hours 0 --compared 500"
    assert desk.advance(terms) == 0
    assert desk.said[0] == "demo: nothing to do"
    assert desk.said[1].endswith("300 answers compared; 500 are asked for")
    desk.compared("two", 300)
    assert desk.advance(terms) == 0
    assert desk.said[0] == "demo: canary b, 0.05"
    assert desk.said[1].endswith("600 answers compared")
    newest = next(desk.registry.history("demo"))
    assert (newest.who, newest.what) == (RETRAINING, "canary b, 0.05")


def test_clicks_come_from_a_file(desk: Desk) -> None:
    """As `judge` takes it; a canary that is clicked too seldom is stopped by it."""
    desk.change(partial(canary, version="b", share=0.1), RETRAINING)
    clicks = desk.folder / "clicks.json"
    counted = {"a": {"answers": 9_000, "clicked": 900}, "b": {"answers": 900, "clicked": 9}}
    clicks.write_text(json.dumps(counted))
    assert desk.advance(f"--clicks {clicks}") == 0
    assert desk.said[0] == "demo: stop canary b"
    assert desk.serving.canary is not None
    assert desk.serving.canary.stopped.startswith("1.00% of 900 were clicked")


async def test_clicks_come_from_attribution(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of products shown and clicked, over all scenarios, methods, sources and days."""
    lines: list[str] = []
    choice = Choice("demo", days=3, by_arm=False, as_json=True)
    await show(Figures(), choice, datetime(2026, 3, 3, tzinfo=UTC), lines.append)
    asked: list[Sequence[str]] = []

    def run(told: Sequence[str], *, within: float) -> Ended:
        assert within < 600
        asked.append(told)
        return Ended(0, "\n".join(lines).encode(), "")

    monkeypatch.setattr(click_counts, "run", run)
    since, now = 100 * DAY - 1, 101 * DAY + HOUR
    found = click_counts.of_attribution("demo", since, now, "b", "a")
    assert found == Counted(Clicks(180, 12), Clicks(100, 5), answers=18)
    assert list(asked[0])[-5:] == ["--json", "--shop", "demo", "--days", "3"]


class Figures:
    """What attribution has kept: of ``b`` two rows a day, of ``a`` one of the first day."""

    async def of_days(self, shop_id: str, days: Iterable[int]) -> Counts:
        assert shop_id == "demo"
        each = {ANSWERS: 3, SHOWN: 30, CLICKS: 2}
        lists = [("home", "Recommend", 1, "b"), ("cart", "Recommend", 6, "b")]
        found = {Row("demo", day, (*names, "", "")): each for names in lists for day in days}
        served = Row("demo", min(days), ("home", "Recommend", 1, "a", "", ""))
        return {**found, served: {ANSWERS: 10, SHOWN: 100, CLICKS: 5}}

    async def of_experiment(self, shop_id: str, experiment: str) -> list[Any]:
        raise AssertionError("nobody asks for experiments here")


def test_without_attribution_it_says_what_it_lacks(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A canary stays as it is, rather than go on unjudged; told so, it goes by time."""
    monkeypatch.delenv("ATTUNE_ATTRIBUTION_REDIS_URL", raising=False)
    desk.change(partial(canary, version="b", share=0.1), RETRAINING)
    before = desk.serving
    assert desk.advance("--canary-hours 0") == 2
    assert desk.remarked[0].startswith("SERVING_REFUSED: clicks are not counted: BAD_SETTING: ")
    assert desk.serving == before
    place = ["--registry", str(desk.folder / "registry"), "--shop", "demo"]
    assert run_command(["judge", *place], {}, say=print, remark=desk.remarked.append) == 2
    assert desk.serving == before
    assert desk.advance("--canary-hours 0 --without-clicks") == 0
    assert desk.serving.served == "b"


def test_judge_asks_attribution_where_no_file_is_named(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the days since the canary began, whoever leads it; too few clicks stop it."""
    desk.change(partial(canary, version="b", share=0.1), "ben")
    began = desk.now
    asked: list[int] = []

    def count(shop_id: str, since: int, now: int, ours: str, usual: str) -> Counted:
        assert (shop_id, ours, usual) == ("demo", "b", "a")
        assert now > since
        asked.append(since)
        return Counted(Clicks(900, 9), Clicks(9_000, 900), 90)

    monkeypatch.setattr(click_counts, "of_attribution", count)
    place = ["--registry", str(desk.folder / "registry"), "--shop", "demo"]
    for status in ("judge clicks", "nothing to do"):
        desk.said.clear()
        assert run_command(["judge", *place], {}, say=desk.said.append, remark=print) == 0
        assert desk.said[0] == f"demo: {status}"
    assert asked == [began]
    assert desk.serving.canary is not None
    assert desk.serving.canary.stopped.startswith("1.00% of 900 were clicked")


@pytest.mark.parametrize("told", ["--share 0.9", "--overlap 2", "--shadow-hours -1"])
def test_terms_that_cannot_be(desk: Desk, told: str) -> None:
    """Are refused before anything is looked at."""
    assert desk.advance(told) == 2
    assert desk.remarked[0].startswith("SERVING_REFUSED: ")


def test_a_change_in_the_middle_of_a_look_counts(desk: Desk) -> None:
    """A guard or a person who is quicker is not overrun by what was seen before."""
    desk.change(partial(canary, version="b", share=0.1), RETRAINING)
    began = desk.now
    desk.now += 30 * HOUR

    def count(since: int, ours: str, usual: str) -> Counted:
        assert since == began
        assert (ours, usual) == ("b", "a")
        desk.change(partial(stop_canary, why="too slow", version="b"), "server 1")
        return Counted(Clicks(5_000, 300), Clicks(9_000, 450), 5_000)

    step = advance(desk.registry, "demo", TERMS, count=count, now=lambda: desk.now)
    assert (step.what, step.why) == ("", "nothing is on trial")
    assert desk.serving.served == "a"


def test_who_looks_second_finds_it_done(desk: Desk) -> None:
    """Two at the same time take one step; the second sees a canary that has just begun."""
    desk.compared("one", 1_000)
    desk.now += 10 * HOUR
    looked = partial(advance, desk.registry, "demo", TERMS, count=lambda *_: None)
    inner: list[str] = []

    def now() -> int:
        if not inner:
            inner.append("")
            inner.append(looked(now=lambda: desk.now).what)
        return desk.now

    assert looked(now=now).what == ""
    assert inner[-1] == "canary b, 0.05"
    assert desk.serving.number == 5


def test_a_round_says_what_it_lacks(desk: Desk) -> None:
    """An archive that is not there is refused by the step that looks for it, with its words."""
    told = f"--registry {desk.folder}/registry --shop new --work {desk.folder}/work"
    told += f" --archive {desk.folder}/archive --master-key-file {desk.folder}/key"
    say, remark = desk.said.append, desk.remarked.append
    assert run_command(["retrain", *told.split()], {}, say=say, remark=remark) == 2
    assert desk.remarked[0].startswith("ROUND_REFUSED: prepare: ")
    assert run_command(["retrain", *told.split(), "--train", "'"], {}, say=say, remark=remark) == (
        2
    )


def test_a_child_that_takes_too_long_is_ended() -> None:
    """And what it says is kept as far as it is the newest."""
    with pytest.raises(StepUnfinished, match=r"^timeit -n took longer than 0\.5 s$"):
        child.run(["timeit", "-n", "1", "import time; time.sleep(60)"], within=0.5)
    ended = child.run(["timeit", "-n", "1", "-r", "1", "print('é' * 3_000_000)"], within=60)
    assert ended.status == 0
    assert len(ended.said) == child.SAID
    ended = child.run(["no_such_module"], within=60)
    assert (ended.status, "No module named no_such_module" in ended.last_words) == (1, True)


def test_a_child_holds_the_folder_of_its_round(tmp_path: Path) -> None:
    """So the next round does not meet a step whose round was killed: the lock is its own, too."""
    with opened(tmp_path) as folder:
        told = ["timeit", "-n", "1", "-r", "1", f"import os; os.fstat({folder.lock})"]
        assert child.run(told, within=60, holding=(folder.lock,)).status == 0
        assert child.run(told, within=60).status == 1
