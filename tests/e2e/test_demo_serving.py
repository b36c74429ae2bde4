"""The demo of the controls, small: every promise of it is kept on real servers."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest

from deploy.local.demo_serving.exchanging import CANARY, PROMOTED, ROLLED_BACK
from deploy.local.demo_serving.run import FIGURES, Figures
from deploy.local.demo_serving.trying import BETTER, BROKEN, GUESTS

ROOT = Path(__file__).parents[2]
STEPS = ("1. Put a model", "2. A grocer's", "3. One scenario", "4. One model", "5. One experiment")


class Told(NamedTuple):
    """What a whole run has said and left."""

    said: str
    figures: Figures
    folder: Path


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    """One run with a sixth of the orders."""
    folder = tmp_path_factory.mktemp("serving")
    command = [sys.executable, "-m", "deploy.local", "demo-serving", "--once", "--lines", "10000"]
    result = subprocess.run(
        [*command, "--folder", str(folder)], cwd=ROOT, capture_output=True, text=True, timeout=280
    )
    assert result.returncode == 0, result.stdout + result.stderr
    figures = msgspec.json.decode((folder / FIGURES).read_bytes(), type=Figures)
    return Told(result.stdout, figures, folder)


def test_every_step_is_told_in_its_turn_and_nothing_is_left_running(told: Told) -> None:
    """Five steps; the record of processes is empty; it says that shoppers are simulated."""
    places = [told.said.find(f"\n{step}") for step in STEPS]
    assert -1 not in places
    assert places == sorted(places)
    assert "WHAT FOLLOWS IS SIMULATED" in told.said
    assert not (told.folder / "state.json").exists()


def test_a_scenario_is_edited_while_it_serves(told: Told) -> None:
    """Another list, a mistake that is explained by line, and the list of before."""
    edited = told.figures.edited
    assert edited.before != edited.after
    assert "line 4, column" in edited.explained
    assert "product.pirce" in edited.explained
    assert edited.explained.splitlines()[-1].strip() == "^"


def test_a_model_is_exchanged_and_no_call_breaks(told: Told) -> None:
    """Each state is answered by the models that are meant to, and the two are compared."""
    done = told.figures.exchanged
    answered = {phase.name: set(phase.answered_by) for phase in done.phases}
    assert answered[CANARY] == {done.first, done.second}
    assert (answered[PROMOTED], answered[ROLLED_BACK]) == ({done.second}, {done.first})
    assert [phase.broken for phase in done.phases if phase.broken] == []
    assert all(phase.calls > 0 for phase in done.phases)
    assert 0 < done.overlap_at_10 < 1


def test_an_experiment_is_reported(told: Told) -> None:
    """Every shopper counts; the broken arm is to be stopped, the other is not judged too soon."""
    tried = told.figures.tried
    assert tried.exposed == GUESTS
    assert tried.decisions == {BETTER: "continue", BROKEN: "stop_arm"}
    page = Path(tried.page)
    assert "A guard has stopped it: it does harm" in page.read_text()
    assert json.loads(page.with_suffix(".json").read_text())["is_void"] is False
