"""What a rebuild shows while it runs: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

LINE_SECONDS: Final = 10.0


@contextmanager
def folding(console: Console | None = None) -> Iterator[Callable[[int], Callable[[int], None]]]:
    """A function that is told how many events there are, and answers what to tell of some more."""
    shown = console or Console(stderr=True)
    columns = (
        TextColumn("folding"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("events"),
        TimeElapsedColumn(),
        TextColumn("to go"),
        TimeRemainingColumn(),
    )
    if not shown.is_terminal:
        yield lambda total: _Lines(shown, total).advance
        return
    with Progress(*columns, console=shown) as progress:

        def start(total: int) -> Callable[[int], None]:
            task = progress.add_task("", total=total)
            return lambda count: progress.advance(task, count)

        yield start


class _Lines:
    """A line every ten seconds."""

    def __init__(self, console: Console, total: int) -> None:
        self._console, self._total, self._done = console, total, 0
        self._said = time.monotonic()

    def advance(self, count: int) -> None:
        self._done += count
        now = time.monotonic()
        if now - self._said >= LINE_SECONDS:
            self._said = now
            self._console.print(f"{self._done:,} of {self._total:,} events are folded")
