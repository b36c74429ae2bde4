"""Small data sets for tests of model_export, made by hand or by a rule."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import polars as pl

from model_export.dataset import DAY, Prepared
from model_export.evaluation.evaluate import Evaluation
from model_export.preparation.prepare import prepare_by_time, prepare_leave_one_out
from model_export.preparation.sources import Read
from model_export.settings import TrainSettings
from services.shared.model_input import PURCHASE

QUICK = TrainSettings(
    dimensions=16,
    max_length=12,
    least_interactions=1,
    negatives=64,
    warm_up=5,
    epochs=3,
    batch_rows=8,
    recall=False,
    dropout=0.0,
)
"""A training of a second."""

TRAINING = "--dimensions 16 --max-length 12 --least-interactions 1 --epochs 12 --warm-up 5 "
TRAINING += "--batch-rows 8 --negatives 64 --dropout 0 --ema 0.9"
"""What ``train`` is told, to learn all that there is to learn in :func:`rounds`."""

Row = tuple[str, str, int] | tuple[str, str, int, int]
"""User, item, day and, where it is no purchase, the action."""


def read(rows: Iterable[Row], name: str = "hand.csv") -> Read:
    """What a reader would answer for interactions written by hand."""
    whole = [(user, item, day * DAY, *(more or (PURCHASE,))) for user, item, day, *more in rows]
    schema = {"user_id": pl.String, "item_id": pl.String, "at": pl.Int64, "action": pl.Int8}
    frame = pl.DataFrame(whole, schema=schema, orient="row")
    return Read(frame, name, "00" * 32, len(whole), {})


def by_time(rows: Iterable[Row], *, holdout_days: int = 2, validation_days: int = 1) -> Prepared:
    """Interactions by hand, split by time."""
    return prepare_by_time(read(rows), holdout_days=holdout_days, validation_days=validation_days)


def leave_one_out(histories: Mapping[str, str]) -> Prepared:
    """User → items, one letter each, a day apart."""
    return prepare_leave_one_out(
        read(
            (user, item, day) for user, items in histories.items() for day, item in enumerate(items)
        )
    )


def rounds(users: int = 60, days: int = 24, items: int = 8) -> list[Row]:
    """Every user buys item after item round a circle, a day each, from a place of their own.

    What comes next is certain, every item is as popular as any other, and each user has
    bought them all: only who reads the order can foretell it.
    """
    random = np.random.default_rng(7)
    firsts = random.integers(items, size=users).tolist()
    return [
        (f"u{user:03}", f"i{(first + day) % items}", day)
        for user, first in enumerate(firsts)
        for day in range(days)
    ]


def write_csv(rows: Iterable[Row], path: Path) -> Path:
    """The same interactions as a file; times in whole seconds since 1970."""
    lines = [f"{user},{item},{day * DAY // 1_000_000}" for user, item, day, *_ in rows]
    path.write_text("\n".join(["user_id,item_id,timestamp", *lines]) + "\n")
    return path


def figures(found: Evaluation, method: str) -> float:
    """NDCG of a method over all purchases."""
    return next(
        row.ndcg.mean for row in found.rows if (row.method, row.purchases) == (method, "all")
    )
