"""The demo of the controls, small: every promise of it is kept on real servers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from deploy.local.demo_serving.exchanging import CANARY, PROMOTED, ROLLED_BACK
from deploy.local.demo_serving.run import FIGURES, Figures
from deploy.local.demo_serving.trying import BETTER, BROKEN, GUESTS
from tests.demo_run import Told, run_demo

STEPS = ("1. Put a model", "2. A grocer's", "3. One scenario", "4. One model", "5. One experiment")

pytestmark = pytest.mark.timeout(600)
"""A whole run takes one to five minutes."""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told[Figures]:
    """One run with a sixth of the orders."""
    folder = tmp_path_factory.mktemp("serving")
    return run_demo("demo-serving", 10_000, folder, FIGURES, Figures)


def test_every_step_is_told_in_its_turn_and_nothing_is_left_running(told: Told[Figures]) -> None:
    """Five steps; the record of processes is empty; it says that shoppers are simulated."""
    assert told.tells_in_turn(STEPS)
    assert "WHAT FOLLOWS IS SIMULATED" in told.said
    assert not (told.folder / "state.json").exists()


def test_a_scenario_is_edited_while_it_serves(told: Told[Figures]) -> None:
    """Another list, a mistake that is explained by line, and the list of before."""
    edited = told.figures.edited
    assert edited.before != edited.after
    assert "line 4, column" in edited.explained
    assert "product.pirce" in edited.explained
    assert edited.explained.splitlines()[-1].strip() == "^"


def test_a_model_is_exchanged_and_no_call_breaks(told: Told[Figures]) -> None:
    """Each state is answered by the models that are meant to, and the two are compared."""
    done = told.figures.exchanged
    answered = {phase.name: set(phase.answered_by) for phase in done.phases}
    assert answered[CANARY] == {done.first, done.second}
    assert (answered[PROMOTED], answered[ROLLED_BACK]) == ({done.second}, {done.first})
    assert [phase.broken for phase in done.phases if phase.broken] == []
    assert all(phase.calls > 0 for phase in done.phases)
    assert 0 < done.overlap_at_10 < 1


def test_an_experiment_is_reported(told: Told[Figures]) -> None:
    """Every shopper counts; the broken arm is to be stopped, the other is not judged too soon."""
    tried = told.figures.tried
    assert tried.exposed == GUESTS
    assert tried.decisions == {BETTER: "continue", BROKEN: "stop_arm"}
    page = Path(tried.page)
    assert "A guard has stopped it: it does harm" in page.read_text()
    assert json.loads(page.with_suffix(".json").read_text())["is_void"] is False
