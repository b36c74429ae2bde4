"""The commands of model_export: what they print, take and refuse."""

from __future__ import annotations

import functools
import json
import re
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from model_export.__main__ import main
from model_export.evaluation.evaluate import Evaluation
from tests.model_parts import TRAINING, figures, rounds, write_csv

ROOT = Path(__file__).parents[2]
COMMANDS = (
    *("prepare", "train", "evaluate", "export", "verify"),
    *("promote", "learning-curve", "plan", "all"),
)


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """`--help` says what the command does, what it takes by default, and shows examples."""
    with pytest.raises(SystemExit, match="0"):
        main([command, "--help"])
    said = capsys.readouterr().out
    assert "examples:\n  python -m model_export " + command in said
    assert "default" in said
    assert command in help_of_the_whole()


def test_evaluate_prints_one_json_object(made: Path) -> None:
    """For programs: nothing else on standard output."""
    said = run("evaluate", f"{made}/data", "--bundle", f"{made}/bundle", "--json")
    found = msgspec.json.decode(said.stdout, type=Evaluation)
    assert found == msgspec.json.decode((made / "bundle/report.json").read_bytes(), type=Evaluation)


def test_evaluate_takes_a_table_or_s3rec_as_it_is(made: Path, tmp_path: Path) -> None:
    """A file needs no prepared folder; the text format is split by leaving one out."""
    table = run("evaluate", f"{made}/shop.csv", "--holdout-days", "2", "--no-bundle")
    assert "shop.csv, split by time: 120 baskets of 60 users" in table.stdout
    (tmp_path / "few.txt").write_text("ana mug pen cup mug\nben pen mug pen cup\n")
    few = ("evaluate", f"{tmp_path}/few.txt", "--format", "s3rec")
    found = json.loads(run(*few, "--json").stdout)
    assert (found["split"], found["cases"], found["catalogue_size"]) == ("leave one out", 2, 3)
    assert {row["method"] for row in found["rows"]} == {"popularity", "item-kNN", "household's own"}
    assert "popularity of all time" in run(*few).stdout
    other = run(*few, "--bundle", f"{made}/bundle", status=2).stderr
    assert "DATA_REFUSED" in other
    assert "knows none of the products of few.txt" in other


def test_s3rec_all_the_way(tmp_path: Path) -> None:
    """Prepared, trained, exported and evaluated from one line a user."""
    letters = "abcdefgh"
    lines = (f"u{n} " + " ".join(letters[(n + i) % 8] for i in range(20)) for n in range(40))
    (tmp_path / "round.txt").write_text("\n".join(lines) + "\n")
    source = f"prepare {tmp_path}/round.txt --format s3rec --to {tmp_path}/data"
    assert main(source.split()) == 0
    assert main(f"train {tmp_path}/data --to {tmp_path}/checkpoint {TRAINING}".split()) == 0
    to = f"--checkpoint {tmp_path}/checkpoint --to {tmp_path}/bundle"
    assert main(f"export {tmp_path}/data {to}".split()) == 0
    told = ("--format", "s3rec", "--bundle", f"{tmp_path}/bundle", "--json")
    found = msgspec.json.decode(
        run("evaluate", f"{tmp_path}/round.txt", *told).stdout, type=Evaluation
    )
    assert figures(found, "model") > 0.9 > 0.7 > figures(found, "popularity")


def test_prepare_says_what_became_of_the_rows(tmp_path: Path) -> None:
    """How many were kept, how many were left out, and why."""
    path = write_csv(rounds(), tmp_path / "shop.csv")
    with path.open("a") as file:
        file.write(",i1,86400\n")
    said = run("prepare", str(path), "--to", f"{tmp_path}/data", "--holdout-days", "2").stdout
    assert "# shop.csv, prepared, split by time\n\n1,440 of 1,441 rows are kept." in said
    assert "| 1 | 0.07% | `incomplete` |" in said
    assert "| users | 60 |\n| items | 8 |" in said
    assert said.endswith((tmp_path / "data/report.md").read_text())


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("prepare",), "name an input file, or say --complete-journey"),
        (("prepare", "no.csv"), "no.csv is not a file"),
        (("train", "nowhere"), "prepare"),
        (("export", "nowhere"), "prepare"),
        (("verify", "nowhere"), "BUNDLE_REFUSED: nowhere/manifest.json is missing"),
        (("evaluate", "nowhere", "--holdout-days", "3"), "nowhere is prepared already"),
        (("evaluate", "nowhere", "--time-unit", "s"), "nowhere is prepared already"),
        (("prepare", "x.txt", "--format", "s3rec", "--holdout-days", "3"), "x.txt cannot be read"),
        (("prepare", "--archive", "nowhere"), "name the key with --master-key-file"),
        (("prepare", "no.csv", "--shop", "demo"), "--shop: only --archive and --kafka are told"),
        (("prepare", "no.csv", "--spark-master", "local"), "only --engine spark is told that"),
        (("prepare", "no.csv", "--columns", "x=y"), "'x' is no column of ours"),
        (("prepare", "--complete-journey", "--price-factor", "1"), "BAD_SETTING: --price-factor"),
        (("prepare", "--complete-journey", "--format", "table"), "a form of its own"),
        (("train", "nowhere", "--heads", "3"), "BAD_SETTING: 3 heads cannot share 64 dimensions"),
        (("train", "nowhere", "--dropout", "2"), "BAD_SETTING: --dropout: Expected `float` < 1"),
        (("evaluate", "no.txt", "--format", "s3rec", "--no-bundle"), "no.txt cannot be read"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(
    arguments: tuple[str, ...], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Status 2 and a sentence on standard error; never a traceback."""
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert re.match("[A-Z_]+: ", said)
    assert says in said
    assert "Traceback" not in said


WITHOUT = """
import sys
package = sys.argv.pop(1)
sys.modules[package] = None  # what Python does where it is not installed
from model_export.__main__ import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize(
    ("package", "command"),
    [
        ("torch", "train DATA --to TO"),
        ("torch", "export DATA --checkpoint nowhere --to TO"),
        ("torch", "plan --users 100 --items 50 --events 2000"),
        ("altair", "train DATA --to TO"),
    ],
)
def test_an_environment_that_lacks_a_package(
    made: Path, tmp_path: Path, package: str, command: str
) -> None:
    """Its name, and how to make an environment that has it; nothing is written."""
    told = command.replace("DATA", f"{made}/data").replace("TO", f"{tmp_path}/to").split()
    result = subprocess.run(
        [sys.executable, "-c", WITHOUT, package, *told],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 2, result.stderr
    assert result.stderr.startswith(f"PACKAGE_MISSING: {package} is not installed here, and '")
    assert "'make .venv-dev/.ready'" in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "to").exists()


@functools.cache
def help_of_the_whole() -> str:
    """What the command without a name says."""
    return run("--help").stdout


def run(*arguments: str, status: int = 0) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own."""
    result = subprocess.run(
        [sys.executable, "-m", "model_export", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == status, result.stderr
    return result
