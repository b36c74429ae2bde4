"""What the demo prints: headings, sentences, tables, progress; bars only on a terminal."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from textwrap import fill
from typing import Protocol

from rich import box
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

WIDTH = 110
TEXT_WIDTH = 100
CELL = 48
SECONDS_BETWEEN_LINES = 10.0


class Advance(Protocol):
    """Says that so much more is done, and something about it."""

    def __call__(self, done: int, note: str = "") -> None:
        """``done`` is the total so far."""
        ...


class Narrator:
    """Tells a reader at a terminal, or in a log, what happens."""

    def __init__(self) -> None:
        self._console = Console(highlight=False)
        if not self._console.is_terminal:
            self._console = Console(highlight=False, width=WIDTH)
        self._started = time.monotonic()

    @property
    def seconds(self) -> float:
        """Since the demo began."""
        return time.monotonic() - self._started

    def heading(self, text: str) -> None:
        """Begin a step, with the time so far."""
        self._console.print(f"\n[bold]{text}[/bold]  [dim]({self.seconds:.0f} s)[/dim]")

    def say(self, text: str = "") -> None:
        """One line, as it is."""
        self._console.print(text, markup=False, soft_wrap=True)

    def tell(self, text: str) -> None:
        """A paragraph, indented and broken into lines."""
        self.say(fill(text, TEXT_WIDTH, initial_indent="  ", subsequent_indent="  "))

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """A table; columns whose name starts with ``#`` hold numbers."""
        table = Table(box=box.SIMPLE, pad_edge=False, show_edge=False)
        for name in columns:
            numeric = name.startswith("#")
            table.add_column(
                name.lstrip("#"),
                justify="right" if numeric else "left",
                no_wrap=True,
                overflow="ellipsis",
                max_width=None if numeric else CELL,
            )
        for row in rows:
            table.add_row(*row)
        self._console.print(table)

    @contextmanager
    def progress(self, label: str, total: int) -> Iterator[Advance]:
        """A bar on a terminal, else a line every few seconds and one at the end."""
        with (
            self._bar(label, total)
            if self._console.is_terminal
            else self._lines(label, total) as it
        ):
            yield it

    @contextmanager
    def _bar(self, label: str, total: int) -> Iterator[Advance]:
        columns = (
            TextColumn("  {task.description}"),
            BarColumn(bar_width=30),
            TaskProgressColumn(),
            TextColumn("{task.fields[note]}"),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=self._console) as progress:
            task = progress.add_task(label, total=total, note="")

            def advance(done: int, note: str = "") -> None:
                progress.update(task, completed=done, note=note)

            yield advance

    @contextmanager
    def _lines(self, label: str, total: int) -> Iterator[Advance]:
        printed_at = time.monotonic()

        def advance(done: int, note: str = "") -> None:
            nonlocal printed_at
            if done >= total or time.monotonic() - printed_at > SECONDS_BETWEEN_LINES:
                printed_at = time.monotonic()
                self.say(f"  {label}: {done:,} of {total:,}  {note}".rstrip())

        yield advance
