"""docs/another-domain.md does what it says, here on a few weeks of a few aeroplanes."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from tests.pages import Page, run

PAGE = Page.read("another-domain.md")

AEROPLANES = 50
DAYS = 45
QUICKER = {
    "train": ("--epochs", "1", "--dimensions", "16", "--negatives", "64"),
    "learning-curve": ("--shares", "40,70,100"),
}


def test_every_command_of_the_page_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Converted, prepared, trained, exported and asked, by the page's own words."""
    PAGE.lay_out(tmp_path)
    printed = {}
    for command in PAGE.shown:
        printed[command] = run(command, tmp_path, capsys, QUICKER)
        if "flights.py" in command:
            cut(tmp_path / "flights.csv")
    report = next(text for command, text in printed.items() if " export " in command)
    assert set(re.findall(r"^(\S+) +0\.", report, re.MULTILINE)) >= {"model", "item-kNN"}
    planned = next(text for command, text in printed.items() if " plan " in command)
    assert "by the learning curve of flights.csv: NDCG@10 = " in planned
    answer = next(text for command, text in printed.items() if "ask.py" in command)
    routes = re.findall(r"^ *-?[\d.]+  ((?:EWR|JFK|LGA)-[A-Z]{3})$", answer, re.MULTILINE)
    assert len(set(routes)) == 5


def cut(table: Path) -> None:
    """Leave the first weeks of the aeroplanes that were first."""
    flown = pl.read_csv(table, try_parse_dates=True)
    some = flown["user_id"].unique(maintain_order=True).head(AEROPLANES)
    until = flown["timestamp"][0] + timedelta(days=DAYS)
    kept = flown.filter(pl.col("user_id").is_in(some.to_list()), pl.col("timestamp") < until)
    kept.write_csv(table)
