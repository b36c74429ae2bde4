"""What an import shows on a terminal and elsewhere."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console

from services.events.adapters import terminal
from services.events.adapters.terminal import Seen, display

START = Seen(1_000, 50, 40, 10)
LATER = Seen(3_000, 150, 130, 20)


def shown(*, is_terminal: bool) -> str:
    """All that a console gets of an import that is half done."""
    console = Console(file=StringIO(), force_terminal=is_terminal, width=160)
    with display(console, START, 6_000) as bar:
        bar.show(LATER)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def test_a_bar_on_a_terminal() -> None:
    """The share of the bytes, with what an earlier run has read; figures; what is to go."""
    text = shown(is_terminal=True)
    for part in ("50 %", "150 rows, 130 events", "20 rows refused", "to go"):
        assert part in text


def test_lines_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """One now and then, and none of a bar's control characters."""
    assert shown(is_terminal=False) == ""
    monkeypatch.setattr(terminal, "LINE_SECONDS", 0.0)
    text = shown(is_terminal=False)
    assert text.startswith("50% read: 150 rows, 130 events (")
    assert text.endswith("/s), 20 rows refused\n")


def test_the_rate_is_of_this_run() -> None:
    """What an earlier one did took none of its time."""
    assert "(45/s)" in terminal.sentence(LATER, START, 2.0)
