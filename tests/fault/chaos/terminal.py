"""What the command shows while it plays: a bar on a terminal, a line a story elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn


class Display(Protocol):
    """Is told what is played, and how much of it is done."""

    def begin(self, what: str) -> None:
        """``what`` is played now."""
        ...

    def advance(self) -> None:
        """One more is done."""
        ...

    def say(self, text: str) -> None:
        """Something that is to stay to be read."""
        ...


class Lines:
    """A line whenever something begins."""

    def __init__(self, console: Console, label: str, total: int) -> None:
        self._console, self._label, self._total, self._done = console, label, total, 0
        self._begun = time.monotonic()

    def begin(self, what: str) -> None:
        """See :class:`Display`."""
        took = timedelta(seconds=int(time.monotonic() - self._begun))
        self.say(f"{took} {self._done} of {self._total} {self._label}; now {what}")

    def advance(self) -> None:
        """See :class:`Display`."""
        self._done += 1

    def say(self, text: str) -> None:
        """See :class:`Display`."""
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)


class Bar:
    """A bar that says beside it what is played."""

    def __init__(self, progress: Progress, label: str, total: int) -> None:
        self._progress, self._label = progress, label
        self._task = progress.add_task(label, total=total)

    def begin(self, what: str) -> None:
        """See :class:`Display`."""
        self._progress.update(self._task, description=f"{self._label}, {what}")

    def advance(self) -> None:
        """See :class:`Display`."""
        self._progress.advance(self._task)

    def say(self, text: str) -> None:
        """See :class:`Display`."""
        self._progress.console.print(text, markup=False, highlight=False, soft_wrap=True)


@contextmanager
def display(label: str, total: int, console: Console | None = None) -> Iterator[Display]:
    """What suits the console; ``label`` says what ``total`` is a number of."""
    shown = console or Console()
    if not shown.is_terminal:
        yield Lines(shown, label, total)
        return
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
    with Progress(*columns, TimeElapsedColumn(), console=shown) as progress:
        yield Bar(progress, label, total)
