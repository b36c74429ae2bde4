"""Shows a person at a terminal how training goes."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


class Bar:
    """A progress bar on standard error, and a line for each epoch; a context manager."""

    def __init__(self, *, shown: bool = True) -> None:
        """``shown`` is false in all but one of several processes."""
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %  {task.fields[loss]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True, quiet=not shown),
        )
        self._task = self._bar.add_task("training", total=1.0, loss="")

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
            self._bar.update(self._task, completed=1.0)
        self._bar.stop()

    def step(self, done: float, loss: float) -> None:
        """See :class:`model_export.training.watching.Progress`."""
        self._bar.update(
            self._task, completed=done, loss=f"loss {loss:.3f}", description="training"
        )

    def stage(self, name: str) -> None:
        """See :class:`model_export.training.watching.Progress`."""
        self._bar.update(self._task, description=name)

    def epoch(self, number: int, loss: float, ndcg: float) -> None:
        """See :class:`model_export.training.watching.Progress`."""
        self._bar.console.print(
            f"epoch {number}: loss {loss:.3f}, NDCG@10 {ndcg:.4f} on the validation part"
        )
