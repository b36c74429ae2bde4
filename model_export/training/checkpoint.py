"""What training leaves for export: parameters, and all that is needed to build the model again.

::

    parameters.npz     one array for each parameter of the Transformer
    checkpoint.json    architecture, settings, vocabulary, and the data it was trained on
"""

from __future__ import annotations

import zipfile
from pathlib import Path

import msgspec
import numpy as np
import torch

from model_export.dataset import Source
from model_export.errors import DataRefused
from model_export.modelling.transformer import Transformer
from model_export.settings import Architecture, TrainSettings


class Checkpoint(msgspec.Struct, frozen=True):
    """What ``checkpoint.json`` holds."""

    architecture: Architecture
    settings: TrainSettings
    data: Source
    """What it was trained on, and how that was split."""
    epoch: int
    """The best on the validation part, counted from 1."""
    validation_ndcg: float
    product_ids: list[str]


def save(model: Transformer, checkpoint: Checkpoint, folder: Path) -> None:
    """Write both files to ``folder``, made if need be."""
    folder.mkdir(parents=True, exist_ok=True)
    parameters = {name: value.numpy() for name, value in model.state_dict().items()}
    np.savez(folder / "parameters.npz", **parameters)
    text = msgspec.json.format(msgspec.json.encode(checkpoint), indent=1)
    (folder / "checkpoint.json").write_bytes(text + b"\n")


def load(folder: Path) -> tuple[Transformer, Checkpoint]:
    """Read what :func:`save` wrote; the model is ready to evaluate. Raises DataRefused."""
    try:
        text = (folder / "checkpoint.json").read_bytes()
        checkpoint = msgspec.json.decode(text, type=Checkpoint)
        with np.load(folder / "parameters.npz", allow_pickle=False) as file:
            parameters = {name: torch.from_numpy(file[name]) for name in file.files}
        model = Transformer(checkpoint.architecture)
        model.load_state_dict(parameters)
    except FileNotFoundError as error:
        raise DataRefused(
            f"{error.filename} is missing: make it with 'python -m model_export train'"
        ) from error
    except (msgspec.MsgspecError, ValueError, RuntimeError, zipfile.BadZipFile) as error:
        raise DataRefused(f"{folder} is no checkpoint of this release: {error}") from error
    return model.eval(), checkpoint
