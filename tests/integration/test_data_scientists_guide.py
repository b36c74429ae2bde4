"""docs/guides/data-scientists.md does what it says, here with smaller models."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.pages import Page, run

PAGE = Page.read("guides/data-scientists.md")

CERTAIN = ("head ", "cat ", "model_export prepare ", "model_export plan ")
"""Commands that print the same on every machine."""


@pytest.mark.timeout(600)
def test_every_command_of_the_guide_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """From a made-up shop to a promotion; what can be foretold is printed as it is shown."""
    quicker = {
        "train": ("--epochs", "1", "--dimensions", "16", "--negatives", "64"),
        "learning-curve": ("--shares", "100"),
        "plan": ("--machine", f"{tmp_path}/none.json"),
    }
    PAGE.lay_out(tmp_path)
    assert any(" promote " in command for command in PAGE.shown)
    for command, shown in PAGE.shown.items():
        statuses = (0, 1) if " promote " in command else (0,)
        printed = run(command, tmp_path, capsys, quicker, statuses=statuses)
        if command.startswith(CERTAIN):
            lines = printed.replace(str(tmp_path), "build").splitlines()
            assert [line for line in shown if line not in lines] == [], command
