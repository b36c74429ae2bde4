"""Shows a person at a terminal how preparing goes, step by step."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from model_export.preparation.engine import Advance


class Watch(Protocol):
    """Is told what is being done."""

    def step(self, title: str) -> Advance:
        """A step begins; what is answered is told which share of it is done."""
        ...


class Silent:
    """Tells nobody."""

    def step(self, title: str) -> Advance:
        """See :class:`Watch`."""
        del title
        return _unsaid


def _unsaid(share: float) -> None:
    del share


class Steps:
    """A progress bar for each step, on standard error; a context manager."""

    def __init__(self) -> None:
        self._bars = Progress(
            TextColumn("{task.description:<28}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )

    def __enter__(self) -> Steps:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self._finish()
        if self._bars.task_ids:
            self._bars.stop()

    def step(self, title: str) -> Advance:
        """See :class:`Watch`."""
        self._finish()
        self._bars.start()  # not before: whoever is refused at once sees one sentence alone
        task = self._bars.add_task(title, total=1.0)
        return lambda share: self._bars.update(task, completed=share)

    def _finish(self) -> None:
        for task in self._bars.task_ids:
            self._bars.update(task, completed=1.0)
