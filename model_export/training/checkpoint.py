"""What training leaves for export: parameters, and all that is needed to build the model again.

::

    parameters.npz     one array for each parameter of the model
    checkpoint.json    architecture, settings, vocabulary, and the data it was trained on
"""

from __future__ import annotations

import zipfile
from pathlib import Path

import msgspec
import numpy as np
import torch

from model_export.dataset import About, Source
from model_export.errors import DataRefused
from model_export.modelling.model import Model
from model_export.settings import Architecture, TrainSettings
from model_export.training.catalogue import content_rows


class Epoch(msgspec.Struct, frozen=True):
    """One point of the learning curve."""

    number: int
    """Counted from 1."""
    loss: float
    """The mean over its steps."""
    ndcg: float
    """NDCG@10 on the validation part."""


class Checkpoint(msgspec.Struct, frozen=True):
    """What ``checkpoint.json`` holds."""

    architecture: Architecture
    settings: TrainSettings
    data: Source
    """What it was trained on, and how that was split."""
    epoch: int
    """The best on the validation part, counted from 1."""
    validation_ndcg: float
    curve: list[Epoch]
    versions: dict[str, str]
    product_ids: list[str]
    without_id: list[int]
    """Indices of products that are known by their content only."""


def save(model: Model, checkpoint: Checkpoint, folder: Path) -> None:
    """Write both files to ``folder``, made if need be; the old ones go when the new are whole."""
    folder.mkdir(parents=True, exist_ok=True)
    parameters = {name: value.cpu().numpy() for name, value in model.state_dict().items()}
    beside = [folder / f".{name}.part" for name in ("parameters.npz", "checkpoint.json")]
    with beside[0].open("wb") as file:
        np.savez(file, **parameters)
    text = msgspec.json.format(msgspec.json.encode(checkpoint), indent=1)
    beside[1].write_bytes(text + b"\n")
    (folder / "checkpoint.json").unlink(missing_ok=True)
    for path in beside:
        path.replace(folder / path.name[1 : -len(".part")])


def load(folder: Path, about: About) -> tuple[Model, Checkpoint]:
    """Read what :func:`save` wrote; the model is ready to evaluate. Raises DataRefused.

    ``about`` is of the data set that it was trained on.
    """
    ids, _, content = about
    try:
        text = (folder / "checkpoint.json").read_bytes()
        checkpoint = msgspec.json.decode(text, type=Checkpoint)
        with np.load(folder / "parameters.npz", allow_pickle=False) as file:
            parameters = {name: torch.from_numpy(file[name]) for name in file.files}
        codes = {item: code for code, item in enumerate(ids.items)}
        known = np.array([codes[item] for item in checkpoint.product_ids], dtype=np.int32)
        features, words = content_rows(content, known, len(ids.queries))
        has_id = torch.zeros(len(features), dtype=torch.bool)
        has_id[1 : len(known) + 1] = True
        has_id[checkpoint.without_id] = False
        model = Model(checkpoint.architecture, has_id, features, words)
        model.load_state_dict(parameters)
    except FileNotFoundError as error:
        raise DataRefused(
            f"{error.filename} is missing: make it with 'python -m model_export train'"
        ) from error
    except KeyError as error:
        raise DataRefused(f"{folder} was trained on other data: it knows item {error}") from error
    except (msgspec.MsgspecError, ValueError, RuntimeError, zipfile.BadZipFile) as error:
        raise DataRefused(f"{folder} is no checkpoint of this release: {error}") from error
    return model.eval(), checkpoint
