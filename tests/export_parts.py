"""What tests of exporting share: a trained model's parts, and the sums of a bundle's files."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from model_export import prepared_folder
from model_export.dataset import Prepared
from model_export.exporting.parts import ModelParts, parts_of
from model_export.modelling.model import Model
from model_export.settings import TrainSettings
from model_export.training import checkpoint
from model_export.training.checkpoint import Checkpoint
from model_export.training.processes import processes
from model_export.training.train import train
from services.shared.bundle_files import sha256_of


class Silent:
    """Watches a training and says nothing."""

    def __init__(self) -> None:
        self.epochs: list[float] = []
        self.stages: list[str] = []
        self.parts: dict[str, list[float]] = {}

    def begin(self, name: str) -> None:
        self.parts[name] = []

    def step(self, done: float, loss: float) -> None:
        steps = list(self.parts.values())[-1]
        assert 0 <= done < 1
        assert not steps or done > steps[-1]
        steps.append(done)
        assert loss >= 0

    def stage(self, name: str) -> None:
        self.stages.append(name)

    def epoch(self, number: int, loss: float, ndcg: float) -> None:
        assert loss >= 0
        self.epochs.append(ndcg)
        assert number == len(self.epochs)


def trained(
    data: Prepared, settings: TrainSettings, watched: Silent | None = None
) -> tuple[Model, Checkpoint]:
    """A training in this process alone, with the data in memory."""
    alone = processes("cpu")
    return train(data.about, [data], settings, progress=watched or Silent(), processes=alone)


def parts(made: Path) -> tuple[ModelParts, Checkpoint]:
    """What there is to export; the graph, which takes seconds to make, is that of the bundle."""
    data = prepared_folder.load(made / "data")
    model, about = checkpoint.load(made / "checkpoint", data.about)
    graph = (made / "bundle/encoder.onnx").read_bytes
    return dataclasses.replace(parts_of(model, data), graph=graph), about


def sums(folder: Path) -> dict[str, str]:
    return {path.name: sha256_of(path) for path in sorted(folder.iterdir())}
