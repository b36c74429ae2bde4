"""The demo, small: every step on real servers, then everything is gone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec

from deploy.local.demo.run import FIGURES, Figures

ROOT = Path(__file__).parents[2]
STEPS = ("1. Start", "2. Load", "3. Replay", "4. Three real", "5. How good", "6. How fast", "Where")


def test_demo_shows_every_step_and_leaves_nothing_running(tmp_path: Path) -> None:
    """The demo ends well, each step is told in its turn, and its figures make sense."""
    command = [sys.executable, "-m", "deploy.local", "demo", "--once", "--lines", "20000"]
    told = subprocess.run(
        [*command, "--folder", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert told.returncode == 0, told.stdout + told.stderr
    places = [told.stdout.find(f"\n{step}") for step in STEPS]
    assert -1 not in places
    assert places == sorted(places)
    assert not (tmp_path / "state.json").exists()
    figures = msgspec.json.decode(FIGURES.read_bytes(), type=Figures)
    assert figures.products == 92_331
    assert figures.replay.lines >= 20_000
    assert 0 < figures.recommend_ms.p50 <= figures.recommend_ms.p99
    changes = [change for household in figures.changes.values() for change in household]
    assert len(changes) == 12
    assert sum(change.milliseconds is not None for change in changes) >= 9
    assert {row.method for row in figures.evaluation.rows} >= {"model", "popularity", "item-kNN"}
