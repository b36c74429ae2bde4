"""`model_export plan`: from a folder or from figures, for people or for programs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from model_export import prepared_folder
from model_export.__main__ import main
from model_export.planning.machine import keep
from model_export.planning.plan import Plan
from model_export.planning.synthetic import made_up
from tests.planning_parts import curve, machine

Run = Callable[..., str]


@pytest.fixture
def said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs `plan` on a measured machine; answers what it printed, or why it refused."""
    keep(machine(), tmp_path / "machine.json")

    def run(*arguments: str, status: int = 0) -> str:
        told = ["plan", "--machine", f"{tmp_path}/machine.json", *arguments]
        assert main(told) == status
        printed = capsys.readouterr()
        return printed.err if status else printed.out

    return run


def test_a_folder_is_read_and_figures_are_told(tmp_path: Path, said: Run) -> None:
    """Both give a plan of the same size, and what is told of training counts."""
    prepared_folder.save(made_up(400, 100, 8_000), tmp_path / "data")
    read = said(f"{tmp_path}/data", "--epochs", "3")
    assert "made up: 400 users, 100 items," in read
    assert "3 epochs at most" in read
    told = said("--users", "400", "--items", "100", "--events", "8000", "--epochs", "3", "--json")
    plan = msgspec.json.decode(told, type=Plan)
    assert (plan.users, plan.settings.epochs, plan.accuracy) == (400, 3, None)
    data = msgspec.json.decode(said(f"{tmp_path}/data", "--epochs", "3", "--json"), type=Plan)
    assert data.time.processor == pytest.approx(plan.time.processor, rel=0.3)


def test_a_learning_curve_says_what_to_expect(tmp_path: Path, said: Run) -> None:
    """Its figures stand in the plan, and a sentence says whether the data is enough."""
    path = tmp_path / "curve.json"
    path.write_bytes(msgspec.json.encode(curve(0.08, 0.5, 0.4, width=0.001, most=8_000)))
    told = ("--users", "400", "--items", "100", "--events", "8000", "--learning-curve", str(path))
    found = said(*told)
    assert "by the learning curve of a shop: NDCG@10 = " in found
    assert "200 %" in found
    assert "more data would help: twice as much would bring" in found
    assert msgspec.json.decode(said(*told, "--json"), type=Plan).accuracy is not None


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "name a prepared folder, or tell all of --users, --items and --events"),
        (("--users", "4"), "tell all of"),
        (("nowhere",), "prepare"),
        (("nowhere", "--users", "4"), "not both"),
        (("--users", "9", "--items", "2", "--events", "9"), "fewer than 3 for each"),
        (("nowhere", "--heads", "3"), "BAD_SETTING"),
    ],
)
def test_what_cannot_be_planned_is_one_sentence(
    said: Run, arguments: tuple[str, ...], says: str
) -> None:
    """Status 2, and what to tell instead."""
    assert says in said(*arguments, status=2)


def test_a_machine_that_nobody_measured(tmp_path: Path, said: Run) -> None:
    """The plan says whose figures it goes by, and how to get better ones."""
    found = said("--users", "400", "--items", "100", "--events", "8000", "--threads", "5")
    assert "not measured for 5 threads on cpu: figures of 1 on cpu" in found
    assert "plan --calibrate --threads 5" in found
    none = ("--machine", f"{tmp_path}/none.json")
    assert "figures of two cores" in said("--users", "4", "--items", "2", "--events", "40", *none)
