"""docs/another-domain.md does what it says, here on a few weeks of a few aeroplanes."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from model_export.__main__ import main

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/another-domain.md").read_text()
SCRIPTS = dict(re.findall(r"Save this as `build/(\w+\.py)`.*?```python\n(.*?)```", PAGE, re.DOTALL))
COMMANDS = re.findall(r"^\$ (.+)$", PAGE, re.MULTILINE)

AEROPLANES = 50
DAYS = 45
QUICKER = {
    "train": ("--epochs", "1", "--dimensions", "16", "--negatives", "64"),
    "learning-curve": ("--shares", "40,70,100"),
}
"""What a command is told besides; of an option that is told twice the last counts."""


def test_every_command_of_the_page_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Converted, prepared, trained, exported and asked, by the page's own words."""
    for name, script in SCRIPTS.items():
        (tmp_path / name).write_text(script)
    printed = {}
    for command in COMMANDS:
        words = [re.sub("^build/", f"{tmp_path}/", word) for word in shlex.split(command)]
        printed[command] = run(words, capsys)
        if "flights.py" in command:
            cut(tmp_path / "flights.csv")
    report = next(text for command, text in printed.items() if " export " in command)
    assert set(re.findall(r"^(\S+) +0\.", report, re.MULTILINE)) >= {"model", "item-kNN"}
    planned = next(text for command, text in printed.items() if " plan " in command)
    assert "by the learning curve of flights.csv: NDCG@10 = " in planned
    answer = next(text for command, text in printed.items() if "ask.py" in command)
    routes = re.findall(r"^ *-?[\d.]+  ((?:EWR|JFK|LGA)-[A-Z]{3})$", answer, re.MULTILINE)
    assert len(set(routes)) == 5


def run(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """What one command prints."""
    if words[0] == "model_export":
        assert main([*words[1:], *QUICKER.get(words[1], ())]) == 0
        return capsys.readouterr().out
    told = [sys.executable if word == ".venv-dev/bin/python" else word for word in words]
    done = subprocess.run(told, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def cut(table: Path) -> None:
    """Leave the first weeks of the aeroplanes that were first."""
    flown = pl.read_csv(table, try_parse_dates=True)
    some = flown["user_id"].unique(maintain_order=True).head(AEROPLANES)
    until = flown["timestamp"][0] + timedelta(days=DAYS)
    kept = flown.filter(pl.col("user_id").is_in(some.to_list()), pl.col("timestamp") < until)
    kept.write_csv(table)
