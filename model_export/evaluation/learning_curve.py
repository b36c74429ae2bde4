"""How good a model gets with a part of the data: what was measured, as a file. Needs no torch.

:mod:`model_export.exporting.learning_curve` measures it; the model card shows it, and
:mod:`model_export.planning.learning` reads the points' sizes and NDCG.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from model_export.dataset import Source
from model_export.errors import DataRefused
from model_export.evaluation.evaluate import Row
from model_export.evaluation.metrics import Interval
from model_export.settings import TrainSettings

NAME: Final = "learning-curve.json"
"""In a checkpoint's folder."""
SHARES: Final = (0.1, 0.25, 0.5, 1.0)


class Point(msgspec.Struct, frozen=True):
    """A model that learned from a share of the users."""

    share: float
    users: int
    """Whose interactions of the training part it learned from."""
    interactions: int
    products: int
    """That it knows."""
    epoch: int
    """The best on the validation part, counted from 1."""
    seconds: float
    """What its training took here; 0 for the checkpoint itself, which was trained before."""
    ndcg: Interval
    """NDCG@10 on the held-out baskets; on all purchases, or on new ones where none is old."""
    rows: list[Row]
    """All figures, on all and on new purchases."""


class LearningCurve(msgspec.Struct, frozen=True):
    """Models of growing shares of the same data, all asked for the same held-out baskets."""

    data: str
    """Its name."""
    source: Source
    settings: TrainSettings
    """Of the checkpoint."""
    seed: int
    """Which users came first."""
    cases: int
    users: int
    """In the held-out part."""
    points: list[Point]
    """By share, ascending."""


def save(curve: LearningCurve, folder: Path) -> Path:
    """Write the curve to a checkpoint's folder, replacing one that is there."""
    path = folder / NAME
    beside = path.with_name(f".{NAME}.part")
    beside.write_bytes(msgspec.json.format(msgspec.json.encode(curve), indent=1) + b"\n")
    beside.replace(path)
    return path


def load(folder: Path) -> LearningCurve | None:
    """The curve of a checkpoint's folder, if it was measured. Raises DataRefused."""
    path = folder / NAME
    if not path.exists():
        return None
    try:
        return msgspec.json.decode(path.read_bytes(), type=LearningCurve)
    except msgspec.MsgspecError as error:
        raise DataRefused(
            f"{path} is no learning curve of this release ({error}): remove it, or measure it "
            "again with 'python -m model_export learning-curve'"
        ) from error
