"""Shows a person at a terminal how training goes."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)


class Bar:
    """A bar for each part of a training, with the time that is left of it, and a line an epoch.

    On standard error; a context manager.
    """

    def __init__(
        self,
        *,
        shown: bool = True,
        console: Console | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``shown`` is false in all but one of several processes; ``clock`` is in seconds."""
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %  {task.fields[loss]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console or Console(stderr=True, quiet=not shown),
            get_time=clock,
        )
        self._name = ""
        self._task: TaskID | None = None

    def __enter__(self) -> Bar:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self._finish()
        self._bar.stop()

    def begin(self, name: str) -> None:
        """See :class:`model_export.training.watching.Progress`."""
        self._finish()
        self._name = name
        self._task = self._bar.add_task(name, total=1.0, loss="")

    def step(self, done: float, loss: float) -> None:
        """See :class:`model_export.training.watching.Progress`."""
        if self._task is not None:
            told = f"loss {loss:.3f}"
            self._bar.update(self._task, completed=done, loss=told, description=self._name)

    def stage(self, name: str) -> None:
        """See :class:`model_export.training.watching.Progress`."""
        if self._task is not None:
            self._bar.update(self._task, description=name)

    def epoch(self, number: int, loss: float, ndcg: float) -> None:
        """See :class:`model_export.training.watching.Progress`."""
        self._bar.console.print(
            f"epoch {number}: loss {loss:.3f}, NDCG@10 {ndcg:.4f} on the validation part"
        )

    def _finish(self) -> None:
        """A part that ended before its last epoch has nothing left either."""
        if self._task is not None:
            self._bar.update(self._task, completed=1.0, description=self._name)
