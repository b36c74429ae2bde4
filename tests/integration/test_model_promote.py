"""``python -m model_export promote``: from bundles and a prepared folder to a status and words."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from model_export import prepared_folder
from model_export.__main__ import main
from model_export.gate.verdict import Decision
from services.shared.bundle import load_bundle
from tests.gate_parts import shelf_bundle, shop

QUICK = "--large 20 --draws 300 --latency-rounds 3 --latency-tolerance 100"
MERCHANTS = "--check model_export.gate.small_merchants:SmallMerchants"

Promote = Callable[..., int]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prepared folder and some bundles of it."""
    folder, data = tmp_path_factory.mktemp("promote"), shop()
    prepared_folder.save(data, folder / "data")
    shelf_bundle(folder / "good", data, version="good-1")
    shelf_bundle(folder / "poor", data, knows="ac", version="poor-1")
    shelf_bundle(folder / "large", data, lifts="234567", version="large-1")
    return folder


@pytest.fixture
def promote(folder: Path, tmp_path: Path) -> Promote:
    """Runs the command with a copy of the bundle ``current``, if any is named."""

    def run(candidate: str, current: str = "", options: str = "") -> int:
        if current:
            for path in (folder / current).iterdir():
                (tmp_path / "current").mkdir(exist_ok=True)
                (tmp_path / "current" / path.name).write_bytes(path.read_bytes())
        command = f"promote {folder}/{candidate} --current {tmp_path}/current {folder}/data"
        return main(f"{command} {QUICK} {options}".split())

    return run


def version(folder: Path) -> str:
    return load_bundle(folder).manifest.version


def test_a_better_candidate(
    promote: Promote, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Status 0, and it is there; the former bundle can be taken back from beside it."""
    assert promote("good", "poor") == 0
    assert version(tmp_path / "current") == "good-1"
    assert version(tmp_path / "current.previous") == "poor-1"
    assert "good-1 against poor-1, on hand.csv" in capsys.readouterr().out


def test_a_worse_candidate(
    promote: Promote, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Status 1 and an explanation; everything stays."""
    assert promote("poor", "good") == 1
    said = capsys.readouterr().out
    assert "refused     quality" in said
    assert "The candidate is worse" in said
    assert "good-1 stays in" in said
    assert version(tmp_path / "current") == "good-1"
    assert not (tmp_path / "current.previous").exists()


def test_json_for_machines(promote: Promote, capsys: pytest.CaptureFixture[str]) -> None:
    """One object with every verdict and figure, and nothing else on standard output."""
    assert promote("poor", "good", "--json --dry-run") == 1
    told = capsys.readouterr().out
    decision = msgspec.json.decode(told, type=Decision)
    assert not decision.accepted
    assert [each.check for each in decision.verdicts] == ["quality", "segments", "latency"]
    assert json.loads(told)["verdicts"][0]["findings"][0]["about"] == "all purchases"


def test_one_more_check(
    promote: Promote, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Better by every figure, and refused all the same: small merchants would disappear."""
    assert promote("large", "good", f"{MERCHANTS} --dry-run") == 1
    said = capsys.readouterr().out
    assert "passed      quality" in said
    assert "refused     small merchants" in said
    assert "Refused by small merchants: good-1 stays" in said
    assert promote("large", "good") == 0
    assert version(tmp_path / "current") == "large-1"


def test_the_first_promotion(
    promote: Promote, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing to compare with: any whole bundle of this data is put there."""
    assert promote("poor") == 0
    assert version(tmp_path / "current") == "poor-1"
    assert "held no bundle" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("candidate", "options", "says"),
    [
        ("nothing", "", "BUNDLE_REFUSED: "),
        ("good", "--margin 2", "BAD_SETTING: --margin: "),
        ("good", "--check nonsense", "CHECK_UNUSABLE: nonsense names no check"),
        ("good", "--check tests.gate_parts:shop", "CHECK_UNUSABLE: "),
    ],
)
def test_what_cannot_be_judged(
    promote: Promote,
    capsys: pytest.CaptureFixture[str],
    candidate: str,
    options: str,
    says: str,
) -> None:
    """Status 2 and a sentence, told apart from a refusal."""
    assert promote(candidate, "poor", options) == 2
    assert says in capsys.readouterr().err


def test_a_trained_bundle_on_its_own_data_and_on_other(
    made: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It has its card, is admitted with the folder it was exported with, and with no other."""
    card = (made / "bundle/card.html").read_text()
    assert "<title>Model card: shop.csv</title>" in card
    assert "shop.csv" in (made / "bundle/card.md").read_text()
    assert (made / "checkpoint/training.svg").read_text().startswith("<svg")
    current = f"promote {made}/bundle --current {tmp_path}/current"
    assert main(f"{current} {folder}/data".split()) == 2
    assert "was made from shop.csv, this folder from other data" in capsys.readouterr().err
    assert not (tmp_path / "current").exists()
    assert main(f"{current} {made}/data".split()) == 0
    assert version(tmp_path / "current") == version(made / "bundle")
