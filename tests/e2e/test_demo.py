"""The demo, small: every step on real servers, then everything is gone."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import msgspec
import pytest

from deploy.local.demo.run import CALLS, FIGURES, Figures
from deploy.local.told import BUNDLE
from model_export.evaluation.evaluate import Evaluation
from model_export.exporting.verify import TOLERANCE
from tests.demo_run import ROOT, Told, run_demo

STEPS = ("1. Start", "2. Load", "3. Replay", "4. Three real", "5. How good", "6. How fast", "Where")
METHODS = ("model", "popularity", "item-kNN", "household's own")

pytestmark = pytest.mark.timeout(600)
"""A whole run takes one to five minutes."""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told[Figures]:
    """One run with a thirtieth of the orders; the other steps are whole."""
    folder = tmp_path_factory.mktemp("demo")
    return run_demo("demo", 20_000, folder, FIGURES, Figures)


def test_every_step_is_told_in_its_turn_and_nothing_is_left_running(told: Told[Figures]) -> None:
    """Six steps, then where everything listens; the record of processes is empty."""
    assert told.tells_in_turn(STEPS)
    assert not (told.folder / "state.json").exists()


def test_the_whole_catalogue_and_every_order_arrive(told: Told[Figures]) -> None:
    """92,331 products; as many events folded as were sent, none refused, lag and speed shown."""
    assert told.figures.products == 92_331
    assert told.figures.replay.lines >= 20_000
    assert told.figures.replay.refused == 0
    assert re.search(r"sent: [\d,]+ of [\d,]+  [\d,]+ events/s, lag [\d,]+\n", told.said)


def test_fresh_events_change_the_answer(told: Told[Figures]) -> None:
    """Three households, four kinds of events each; a search brings what was searched for."""
    assert len(told.figures.changes) == 3
    for changes in told.figures.changes.values():
        search, *others = changes
        assert len(others) == 3
        assert search.milliseconds is not None
        assert any("you searched for" in new.reason for new in search.arrived)
    every = [change for changes in told.figures.changes.values() for change in changes]
    assert sum(change.milliseconds is not None for change in every) >= 9


def test_the_model_stands_beside_its_rivals(told: Told[Figures]) -> None:
    """For all purchases and for new ones, over the whole catalogue, as the report has it."""
    found = told.figures.evaluation
    report = msgspec.json.decode((BUNDLE / "report.json").read_bytes(), type=Evaluation)
    assert [(row.method, row.purchases) for row in found.rows] == [
        (method, purchases) for method in METHODS for purchases in ("all", "new")
    ]
    for row, reported in zip(found.rows, report.rows, strict=True):
        assert row.ndcg.mean == pytest.approx(reported.ndcg.mean, abs=TOLERANCE)
        assert row.hit_rate.mean == pytest.approx(reported.hit_rate.mean, abs=TOLERANCE)
    assert all(f"\n{method} " in told.said for method in METHODS)


def test_calls_are_timed_and_can_be_repeated(told: Told[Figures]) -> None:
    """Two thousand calls, and a line that a reader can paste to make one more."""
    assert told.figures.recommend_ms.calls == CALLS == 2_000
    assert 0 < told.figures.recommend_ms.p50 <= told.figures.recommend_ms.p99
    line = re.search(r"grpcurl -plaintext -H .*RecommendationService/Recommend", told.said)
    assert line
    user_id = json.loads(line[0].split("'")[1])["user_id"]
    assert user_id in told.figures.changes
    assert re.search(r"api key +attune_demo_\S{30,}", told.said)


def test_the_whole_demo_replays_at_least_200_000_lines() -> None:
    """What `make demo` runs by default."""
    said = subprocess.run(
        [sys.executable, "-m", "deploy.local", "demo", "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    ).stdout
    default = re.search(r"lines\s+\(default:\s+(\d+)\)", said)
    assert default
    assert int(default[1]) >= 200_000
