"""A training's state on disk, so that one that was killed goes on where it was.

::

    search.state.npz    parameters, their mean, the best so far, the optimizer's memory, the place

Written beside and renamed, so what is there is always whole. What says that it belongs to
another run (other data, settings or versions) is not gone on from.
"""

from __future__ import annotations

import copy
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

from model_export.dataset import Source
from model_export.errors import UNREADABLE, DataRefused
from model_export.modelling.model import Model
from model_export.settings import TrainSettings
from model_export.training.beside import written_beside
from model_export.training.checkpoint import Epoch
from model_export.training.processes import Processes

if TYPE_CHECKING:
    from model_export.training.steps import Training

SUFFIX: Final = ".state.npz"
EVERY: Final = 60.0
"""Seconds between two states within an epoch: what a kill may cost."""


@dataclass(slots=True)
class Place:
    """Where in the data a training is, and how it went so far."""

    epoch: int = 0
    """Whole ones behind it."""
    shard: int = 0
    """Of this epoch's order."""
    batch: int = 0
    """Of this shard."""
    step: int = 0
    losses: float = 0.0
    """Sum over this epoch's steps,"""
    losses_of: int = 0
    """and how many they are."""
    best_ndcg: float = -1.0
    best_epoch: int = 0
    curve: list[Epoch] = field(default_factory=list)

    def is_over(self, settings: TrainSettings) -> bool:
        """Whether all epochs are seen, or too many brought nothing better."""
        waited = self.epoch - self.best_epoch
        return self.epoch >= settings.epochs or (self.epoch > 0 and waited >= settings.patience)


class Saver:
    """Writes and reads the state of one run; without a folder it does neither."""

    def __init__(
        self,
        folder: Path | None,
        settings: TrainSettings,
        source: Source,
        processes: Processes,
        *,
        every: float = EVERY,
        name: str = "search",
    ) -> None:
        """``every`` is in seconds; ``name`` tells a run's parts apart."""
        from model_export.training.train import versions

        self._path = folder / f"{name}{SUFFIX}" if folder else None
        self._run = msgspec.json.encode([settings, source, versions(), processes.world]).decode()
        self._first = processes.first
        self._every = every
        self._saved_at = time.monotonic()

    def save_if_due(self, training: Training, best: Model) -> None:
        """Save where the last state is old."""
        if time.monotonic() - self._saved_at > self._every:
            self.save(training, best)

    def save(self, training: Training, best: Model) -> None:
        """Replace the state on disk by the present one. Raises CheckpointNotWritten."""
        self._saved_at = time.monotonic()
        if self._path is None or not self._first:
            return
        arrays = {"run": np.array(self._run), "place": np.array(_text(training.place))}
        arrays |= _parameters("model", training.model)
        arrays |= _parameters("mean", training.mean)
        arrays |= _parameters("best", best)
        for number, each in training.optimizer.state_dict()["state"].items():
            arrays |= {f"optimizer/{number}/{k}": v.cpu().numpy() for k, v in each.items()}
        written_beside(
            self._path,
            lambda file: np.savez(file, **arrays),  # type: ignore[arg-type]  # arrays by name
        ).replace(self._path)

    def restore(self, training: Training) -> Model:
        """Put ``training`` where the state on disk is, if there is one of this run; the best.

        Raises DataRefused where the state is damaged.
        """
        if self._path is None or not self._path.exists():
            return copy.deepcopy(training.mean)
        try:
            with np.load(self._path, allow_pickle=False) as file:
                if str(file["run"]) != self._run:
                    return copy.deepcopy(training.mean)
                arrays = {name: file[name] for name in file.files}
            return _restored(training, arrays)
        except (*UNREADABLE, msgspec.MsgspecError) as error:
            raise DataRefused(
                f"{self._path} is damaged ({error}): remove it to train from the beginning"
            ) from error


def forget(folder: Path) -> None:
    """Remove the state in ``folder``: the training is over, or shall begin anew."""
    for path in folder.glob(f"*{SUFFIX}"):
        path.unlink()


def _restored(training: Training, arrays: dict[str, NDArray[Any]]) -> Model:
    device = training.processes.device
    best = copy.deepcopy(training.mean)
    for name, model in (("model", training.model), ("mean", training.mean), ("best", best)):
        prefix = f"{name}/"
        found = {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}
        model.load_state_dict({k: torch.from_numpy(v) for k, v in found.items()})
    memory: dict[int, dict[str, torch.Tensor]] = {}
    for name, value in arrays.items():
        if name.startswith("optimizer/"):
            _, number, key = name.split("/")
            memory.setdefault(int(number), {})[key] = torch.from_numpy(value).to(device)
    groups = training.optimizer.state_dict()["param_groups"]
    training.optimizer.load_state_dict({"state": memory, "param_groups": groups})
    training.place = msgspec.json.decode(str(arrays["place"]), type=Place)
    return best


def _parameters(prefix: str, model: Model) -> dict[str, NDArray[Any]]:
    return {f"{prefix}/{k}": v.cpu().numpy() for k, v in model.state_dict().items()}


def _text(place: Place) -> str:
    return msgspec.json.encode(place).decode()
