"""What an import shows while it runs: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple, Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

LINE_SECONDS: Final = 10.0


class Seen(NamedTuple):
    """How far an import is, over all its files."""

    read: int
    """Bytes."""
    rows: int
    events: int
    refused: int
    """Rows."""


class Display(Protocol):
    """Tells a person how far an import is."""

    def show(self, seen: Seen) -> None:
        """May be called often."""
        ...


class Bar:
    """A bar with figures."""

    def __init__(self, progress: Progress, start: Seen, total: int) -> None:
        self._progress = progress
        self._start, self._begun = start, time.monotonic()
        self._task = progress.add_task("import", total=total, completed=start.read, said="")

    def show(self, seen: Seen) -> None:
        """See :class:`Display`."""
        said = sentence(seen, self._start, time.monotonic() - self._begun)
        self._progress.update(self._task, completed=seen.read, said=said)


class Lines:
    """A line every ten seconds."""

    def __init__(self, console: Console, start: Seen, total: int) -> None:
        self._console, self._start, self._total = console, start, total
        self._begun = self._said = time.monotonic()

    def show(self, seen: Seen) -> None:
        """See :class:`Display`."""
        now = time.monotonic()
        if now - self._said >= LINE_SECONDS:
            self._said = now
            share = seen.read / max(1, self._total)
            said = sentence(seen, self._start, now - self._begun)
            self._console.print(f"{share:.0%} read: {said}", soft_wrap=True)


@contextmanager
def display(console: Console, start: Seen, total: int) -> Iterator[Display]:
    """What suits the console; ``start`` is what an earlier run has done, ``total`` in bytes."""
    if not console.is_terminal:
        yield Lines(console, start, total)
        return
    columns = (
        BarColumn(),
        TextColumn("{task.percentage:3.0f} %"),
        TextColumn("{task.fields[said]}"),
        TimeElapsedColumn(),
        TextColumn("to go"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
        yield Bar(progress, start, total)


def sentence(seen: Seen, start: Seen, seconds: float) -> str:
    """The figures in words; the rate is that of this run."""
    rate = (seen.events - start.events) / max(seconds, 0.001)
    return (
        f"{seen.rows:,} rows, {seen.events:,} events ({rate:,.0f}/s), {seen.refused:,} rows refused"
    )


def table(rows: list[tuple[str, str]]) -> Table:
    """A summary of what something came to."""
    made = Table(show_header=False)
    made.add_column()
    made.add_column(justify="right")
    for row in rows:
        made.add_row(*row)
    return made
