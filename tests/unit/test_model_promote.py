"""A candidate takes the current bundle's place, or does not; whatever is killed when."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from model_export.dataset import Prepared
from model_export.errors import CheckUnusable, DataRefused
from model_export.gate.comparison import Comparison
from model_export.gate.promote import BUILT_IN, install, previous, promote
from model_export.gate.verdict import Check, Decision, Verdict
from model_export.gate.words import text_of
from services.shared.bundle import load_bundle
from services.shared.errors import BundleRefused
from tests.gate_parts import QUICK, shelf_bundle, shop


@pytest.fixture(scope="module")
def data() -> Prepared:
    return shop()


@pytest.fixture
def good(data: Prepared, tmp_path: Path) -> Path:
    """A bundle that knows every shelf."""
    return shelf_bundle(tmp_path / "good", data, version="good-1")


@pytest.fixture
def poor(data: Prepared, tmp_path: Path) -> Path:
    """A bundle that knows nothing of shelf b."""
    return shelf_bundle(tmp_path / "poor", data, knows="ac", version="poor-1")


def version(folder: Path) -> str:
    return load_bundle(folder).manifest.version


def test_a_better_candidate_takes_the_place(good: Path, poor: Path, data: Prepared) -> None:
    """What was there is kept beside it; the candidate stays where it was."""
    found = promote(good, poor, data, settings=QUICK)
    assert found.accepted
    assert found.installed
    assert [each.outcome for each in found.verdicts] == ["passed"] * 3
    assert version(poor) == version(good) == "good-1"
    assert version(previous(poor)) == "poor-1"
    assert "good-1 is now in" in found.says
    assert "poor-1, which it replaces, is kept in" in found.says


def test_a_worse_candidate_does_not(good: Path, poor: Path, data: Prepared) -> None:
    """Nothing is touched, and the text says for each check what speaks against it."""
    found = promote(poor, good, data, settings=QUICK)
    assert not found.accepted
    assert not found.installed
    assert version(good) == "good-1"
    assert not previous(good).exists()
    text = text_of(found)
    assert "poor-1 against good-1, on hand.csv" in text
    assert "refused     quality\n  x all purchases (240 baskets of 120 users): NDCG@10" in text
    assert "passed      latency: " in text
    assert f"Refused by quality, segments: good-1 stays in {good}." in " ".join(text.split())
    assert all(len(line) <= 100 or str(good) in line for line in text.split("\n"))


def test_a_dry_run_only_tells(good: Path, poor: Path, data: Prepared) -> None:
    """The same verdicts, and everything stays."""
    found = promote(good, poor, data, settings=QUICK, dry_run=True)
    assert found.accepted
    assert not found.installed
    assert version(poor) == "poor-1"
    assert not previous(poor).exists()
    assert "would replace poor-1" in found.says


def test_the_first_promotion(good: Path, tmp_path: Path, data: Prepared) -> None:
    """Where no bundle is, there is nothing to be worse than: a whole one of this data will do."""
    dry = promote(good, tmp_path / "current", data, settings=QUICK, dry_run=True)
    assert not (tmp_path / "current").exists()
    assert (dry.accepted, dry.installed) == (True, False)
    found = promote(good, tmp_path / "current", data, settings=QUICK)
    assert (found.current, found.verdicts) == (None, [])
    assert "held no bundle, so there was nothing to compare with: good-1 is whole" in found.says
    assert version(tmp_path / "current") == "good-1"
    assert not previous(tmp_path / "current").exists()


def test_the_same_bundle_again(good: Path, tmp_path: Path, data: Prepared) -> None:
    """It is there already: accepted, and nothing is done, so the one before it is still kept."""
    promote(good, tmp_path / "current", data, settings=QUICK)
    found = promote(good, tmp_path / "current", data, settings=QUICK)
    assert (found.accepted, found.installed) == (True, False)
    assert "is the current bundle already" in found.says
    with pytest.raises(DataRefused, match="both as the candidate and as the current bundle"):
        promote(good, good, data, settings=QUICK)


def test_a_folder_of_somebodys_own_is_not_replaced(
    good: Path, tmp_path: Path, data: Prepared
) -> None:
    """Nor is a bundle that is not whole compared with anything."""
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/cat.jpg").write_bytes(b"")
    with pytest.raises(DataRefused, match="is there and is no bundle"):
        promote(good, tmp_path / "photos", data, settings=QUICK)
    (good / "items.npy").write_bytes(b"")
    with pytest.raises(BundleRefused):
        promote(good, tmp_path / "current", data, settings=QUICK)


class Broken:
    """A check with a mistake in it."""

    name = "broken"

    def judge(self, comparison: Comparison) -> Verdict:
        raise ZeroDivisionError("division by zero")


class Silent:
    """A check that gives no verdict."""

    name = "silent"

    def judge(self, comparison: Comparison) -> Verdict:
        return None  # type: ignore[return-value]  # that is what is wrong with it


class Never:
    """A check that no candidate passes."""

    name = "never"

    def judge(self, comparison: Comparison) -> Verdict:
        return Verdict(self.name, "refused", f"{len(comparison.cases)} baskets say no.")


def asked(good: Path, poor: Path, data: Prepared, check: Check) -> Decision:
    return promote(good, poor, data, settings=QUICK, checks=[*BUILT_IN, check])


def test_a_check_that_fails_lets_nothing_through(good: Path, poor: Path, data: Prepared) -> None:
    """Neither an exception nor silence is a yes."""
    with pytest.raises(CheckUnusable, match="check broken failed, so nothing is promoted: Zero"):
        asked(good, poor, data, Broken())
    with pytest.raises(CheckUnusable, match="check silent gave no verdict"):
        asked(good, poor, data, Silent())
    assert version(poor) == "poor-1"


def test_one_more_check_can_refuse(good: Path, poor: Path, data: Prepared) -> None:
    """Its own sentence is shown beside those of the others."""
    found = asked(good, poor, data, Never())
    assert not found.accepted
    assert version(poor) == "poor-1"
    assert "refused     never: 240 baskets say no." in text_of(found)
    assert "Refused by never: poor-1 stays" in found.says


def test_a_candidate_that_changes_while_it_is_judged(good: Path, poor: Path) -> None:
    """What is installed is what was judged."""
    expected = load_bundle(good)
    manifest = json.loads((good / "manifest.json").read_bytes())
    (good / "manifest.json").write_text(json.dumps({**manifest, "version": "other"}))
    with pytest.raises(DataRefused, match="changed while it was judged"):
        install(good, poor, expected=expected)
    assert version(poor) == "poor-1"


def test_a_place_that_is_not_free(good: Path, poor: Path, data: Prepared) -> None:
    """Where the former bundle would be kept lies something else: it is said before judging."""
    previous(poor).write_bytes(b"somebody's file")
    with pytest.raises(DataRefused, match=r"poor\.previous is there and is no bundle"):
        promote(good, poor, data, settings=QUICK)
    assert previous(poor).read_bytes() == b"somebody's file"
    assert version(poor) == "poor-1"


KILLED = """
import os, shutil, signal, sys
from pathlib import Path
from model_export.gate.promote import install
from services.shared.bundle import load_bundle
good, poor, after = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
copy, done = shutil.copyfile, 0
def counting(*arguments):
    global done
    done += 1
    if done == after:
        os.kill(os.getpid(), signal.SIGKILL)
    return copy(*arguments)
expected = load_bundle(good)
shutil.copyfile = counting
install(good, poor, expected=expected)
"""


@pytest.mark.parametrize("file", [3, 11], ids=["while it is kept", "while it is replaced"])
def test_killed_in_the_middle(good: Path, poor: Path, file: int) -> None:
    """The current bundle is whole, and the next promotion clears up and goes through."""
    command = [sys.executable, "-c", KILLED, str(good), str(poor), str(file)]
    killed = subprocess.run(command, cwd=Path(__file__).parents[2], timeout=60)
    assert killed.returncode == -signal.SIGKILL
    assert version(poor) == "poor-1"
    install(good, poor, expected=load_bundle(good))
    assert version(poor) == "good-1"
    assert version(previous(poor)) == "poor-1"
    assert [path.name for path in poor.parent.iterdir() if path.name.startswith(".")] == []
