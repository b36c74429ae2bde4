"""Who is told of a training as it goes, and who is asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from model_export.modelling.model import Model

Rest = Callable[[], None]
"""Called between two steps, when the state is one that can be gone on from."""


class Judge(Protocol):
    """Says how good a model is; the best one is kept."""

    def ndcg(self, model: Model) -> float:
        """NDCG@10 on what training does not learn from."""
        ...


class Progress(Protocol):
    """Told how training goes, one part after the other."""

    def begin(self, name: str) -> None:
        """Told the name of a part that begins; the one before it, if any, is over."""
        ...

    def step(self, done: float, loss: float) -> None:
        """How much of the part's epochs is done (0 to 1), and the last batch's loss."""
        ...

    def stage(self, name: str) -> None:
        """Told the name of what takes long and is no step."""
        ...

    def epoch(self, number: int, loss: float, ndcg: float) -> None:
        """What the epoch, counted from 1, came to: its mean loss, and on the validation part."""
        ...
