"""What `make fault` shows on a terminal and elsewhere."""

from __future__ import annotations

from io import StringIO

from rich.console import Console

from tests.fault.chaos.terminal import display


def shown(*, is_terminal: bool) -> str:
    """All that a console gets of two stories, of which the first one failed."""
    console = Console(file=StringIO(), force_terminal=is_terminal, width=160)
    with display("faults", 9, console) as it:
        it.begin("seed 1")
        it.advance()
        it.say("seed 1: 1 lost")
        it.begin("seed 2")
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def test_a_bar_on_a_terminal() -> None:
    """With the story that is played, and above it what is to be read."""
    text = shown(is_terminal=True)
    for part in ("faults, seed 2", "1/9", "seed 1: 1 lost"):
        assert part in text


def test_a_line_a_story_elsewhere() -> None:
    """When it begins, and none of a bar's control characters."""
    assert shown(is_terminal=False).splitlines() == [
        "0:00:00 0 of 9 faults; now seed 1",
        "seed 1: 1 lost",
        "0:00:00 1 of 9 faults; now seed 2",
    ]
