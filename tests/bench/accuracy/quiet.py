"""A training in a bench's own process, of which the bench tells nothing but its outcome."""

from __future__ import annotations

from collections.abc import Callable

from model_export.dataset import Prepared
from model_export.modelling.model import Model
from model_export.settings import TrainSettings
from model_export.training.catalogue import Catalogue
from model_export.training.checkpoint import Checkpoint
from model_export.training.processes import processes
from model_export.training.train import train
from model_export.training.watching import Judge


class Silent:
    """See :class:`model_export.training.watching.Progress`."""

    def begin(self, name: str) -> None:
        """See :class:`model_export.training.watching.Progress`."""

    def step(self, done: float, loss: float) -> None:
        """See :class:`model_export.training.watching.Progress`."""

    def stage(self, name: str) -> None:
        """See :class:`model_export.training.watching.Progress`."""

    def epoch(self, number: int, loss: float, ndcg: float) -> None:
        """See :class:`model_export.training.watching.Progress`."""


def trained(
    data: Prepared, settings: TrainSettings, judge_of: Callable[[Catalogue], Judge]
) -> tuple[Model, Checkpoint]:
    """The best model by the judge, ready to be asked."""
    model, made = train(
        data.about,
        [data],
        settings,
        progress=Silent(),
        processes=processes("cpu"),
        judge_of=judge_of,
    )
    return model.eval(), made
