"""What training leaves for export: parameters, and all that is needed to build the model again.

::

    parameters.npz     one array for each parameter of the model
    checkpoint.json    architecture, settings, vocabulary, and the data it was trained on
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

from model_export.dataset import About, Source
from model_export.errors import UNREADABLE, CheckpointNotWritten, DataRefused
from model_export.modelling.model import Model
from model_export.settings import Architecture, TrainSettings
from model_export.training.beside import written_beside
from model_export.training.catalogue import content_rows

PARAMETERS: Final = "parameters.npz"
CHECKPOINT: Final = "checkpoint.json"


class Epoch(msgspec.Struct, frozen=True):
    """One point of the learning curve."""

    number: int
    """Counted from 1."""
    loss: float
    """The mean over its steps."""
    ndcg: float
    """NDCG@10 on the validation part."""


class Coded(msgspec.Struct, frozen=True):
    """How a model learned on once the products of a large catalogue had become codes."""

    epoch: int
    """The best of them on the validation part; the numbers go on from those before."""
    validation_ndcg: float
    """Of the codes at that epoch; what the vectors reached before says the checkpoint."""
    curve: list[Epoch]


class Checkpoint(msgspec.Struct, frozen=True):
    """What ``checkpoint.json`` holds."""

    architecture: Architecture
    settings: TrainSettings
    data: Source
    """What it was trained on, and how that was split."""
    epoch: int
    """The best on the validation part, counted from 1; before products became codes."""
    validation_ndcg: float
    """At that epoch."""
    curve: list[Epoch]
    versions: dict[str, str]
    product_ids: list[str]
    without_id: list[int]
    """Indices of products that are known by their content only."""
    as_codes: Coded | None = None
    """None where each product has a vector of its own."""

    @property
    def whole_curve(self) -> list[Epoch]:
        """All epochs, also those as codes."""
        return [*self.curve, *(self.as_codes.curve if self.as_codes else [])]


def save(model: Model, checkpoint: Checkpoint, folder: Path) -> None:
    """Write both files to ``folder``, made if need be; the old ones go when the new are whole.

    Raises CheckpointNotWritten where the disk is full; then the old ones are untouched.
    """
    parameters = {name: value.cpu().numpy() for name, value in model.state_dict().items()}
    text = msgspec.json.format(msgspec.json.encode(checkpoint), indent=1)
    arrays = written_beside(
        folder / PARAMETERS,
        lambda file: np.savez(file, **parameters),
    )
    try:
        told = written_beside(folder / CHECKPOINT, lambda file: file.write(text + b"\n"))
    except CheckpointNotWritten:
        arrays.unlink()
        raise
    (folder / CHECKPOINT).unlink(missing_ok=True)
    arrays.replace(folder / PARAMETERS)
    told.replace(folder / CHECKPOINT)


def load(folder: Path, about: About) -> tuple[Model, Checkpoint]:
    """Read what :func:`save` wrote; the model is ready to evaluate. Raises DataRefused.

    ``about`` is of the data set that it was trained on.
    """
    checkpoint, parameters = _read(folder)
    ids, _, content = about
    try:
        codes = {item: code for code, item in enumerate(ids.items)}
        known = np.array([codes[item] for item in checkpoint.product_ids], dtype=np.int32)
    except KeyError as error:
        raise DataRefused(f"{folder} was trained on other data: it knows item {error}") from error
    try:
        features, words = content_rows(content, known, len(ids.queries))
        has_id = torch.zeros(len(features), dtype=torch.bool)
        has_id[1 : len(known) + 1] = True
        has_id[checkpoint.without_id] = False
        model = Model(checkpoint.architecture, has_id, features, words)
        model.load_state_dict({name: torch.from_numpy(each) for name, each in parameters.items()})
    except UNREADABLE as error:
        raise DataRefused(
            f"{folder / CHECKPOINT} and {folder / PARAMETERS} are no checkpoint of this release, "
            f"or not of this data: {error}; train again"
        ) from error
    return model.eval(), checkpoint


def _read(folder: Path) -> tuple[Checkpoint, dict[str, NDArray[Any]]]:
    """Both files as they are. Raises DataRefused with the name of the one that is damaged."""
    path = folder / CHECKPOINT
    try:
        checkpoint = msgspec.json.decode(path.read_bytes(), type=Checkpoint)
        path = folder / PARAMETERS
        with np.load(path, allow_pickle=False) as file:
            return checkpoint, {name: file[name] for name in file.files}
    except FileNotFoundError as error:
        raise DataRefused(
            f"{path} is missing: make it with 'python -m model_export train'"
        ) from error
    except (*UNREADABLE, msgspec.MsgspecError) as error:
        raise DataRefused(
            f"{path} is no checkpoint of this release, or damaged: {error}; train again"
        ) from error
