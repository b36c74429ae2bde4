"""Makes a prepared data set: numbers instead of ids, one order, parts that do not overlap.

Two splits. *By time*, honest: everything before a cut trains, the weeks after it are held
out, the last days before it validate. *Leave-one-out*, comparable with papers: each user's
last interaction is held out, the last but one validates.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from model_export.dataset import DAY, HELD_OUT, TRAIN, VALIDATION, Ids, Prepared, Source
from model_export.errors import DataRefused
from model_export.preparation.sources import Read, read_complete_journey

HOLDOUT_DAYS: Final = 28
VALIDATION_DAYS: Final = 7
SESSION_GAP: Final = 30 * 60 * 1_000_000
"""Microseconds."""


def prepare_by_time(
    read: Read, *, holdout_days: int, validation_days: int, catalogue_size: int | None = None
) -> Prepared:
    """Split by time. Raises DataRefused where a part would be empty."""
    ids, table = _numbered(read)
    last = int(table["at"].max())  # type: ignore[arg-type]  # Read.frame is never empty
    cut = last - holdout_days * DAY
    validation_from = cut - validation_days * DAY
    at = table["at"].to_numpy()
    parts = np.where(at > cut, HELD_OUT, np.where(at > validation_from, VALIDATION, TRAIN))
    for part, name in ((TRAIN, "to train"), (VALIDATION, "to validate"), (HELD_OUT, "held out")):
        if not (parts == part).any():
            days = (last - int(at.min())) / DAY
            raise DataRefused(
                f"{read.name}: nothing is {name}; the data spans {days:.1f} days, "
                f"{holdout_days} are held out and {validation_days} validate"
            )
    bounds = (validation_from + 1, cut + 1)
    return _prepared(read, ids, table, parts, "by time", bounds, catalogue_size)


def prepare_leave_one_out(read: Read, *, catalogue_size: int | None = None) -> Prepared:
    """Split by position: the last of each user is held out, the last but one validates."""
    ids, table = _numbered(read)
    users = table["user"].to_numpy()
    stops = np.append(np.flatnonzero(np.diff(users)) + 1, len(users))
    parts = np.full(len(users), TRAIN)
    parts[stops - 1] = HELD_OUT
    parts[stops - 2] = VALIDATION
    return _prepared(read, ids, table, parts, "leave one out", (0, 0), catalogue_size)


def prepare_complete_journey() -> Prepared:
    """The Complete Journey data, split as for the committed bundle."""
    return prepare_by_time(
        read_complete_journey(), holdout_days=HOLDOUT_DAYS, validation_days=VALIDATION_DAYS
    )


def sessions(users: NDArray[np.integer], at: NDArray[np.int64]) -> NDArray[np.int32]:
    """Which of its user's sessions each row is in, from 0; half an hour of silence ends one."""
    new = np.diff(users, prepend=-1) != 0
    later = np.cumsum(~new & (np.diff(at, prepend=0) > SESSION_GAP))
    firsts = np.flatnonzero(new)
    found: NDArray[np.int32] = (later - later[firsts][np.cumsum(new) - 1]).astype(np.int32)
    return found


def _numbered(read: Read) -> tuple[Ids, pl.DataFrame]:
    """The frame with numbers for ids, ordered by (user, time, place in the input)."""
    frame = read.frame
    ids = Ids(
        users=frame["user_id"].unique().sort().to_list(),
        items=frame["item_id"].unique().sort().to_list(),
        queries=[],
        groups=[None] * frame["user_id"].n_unique(),
    )
    users = pl.DataFrame({"user_id": ids.users}).with_row_index("user")
    items = pl.DataFrame({"item_id": ids.items}).with_row_index("item")
    table = (
        frame.with_row_index("place")
        .join(users, on="user_id", how="left")
        .join(items, on="item_id", how="left")
        .sort("user", "at", "place")
    )
    return ids, table


def _prepared(
    read: Read,
    ids: Ids,
    table: pl.DataFrame,
    parts: NDArray[np.int64],
    split: str,
    bounds: tuple[int, int],
    catalogue_size: int | None,
) -> Prepared:
    size = catalogue_size or read.catalogue_size or len(ids.items)
    if size < len(ids.items):
        raise DataRefused(
            f"{read.name}: a catalogue of {size} products cannot hold the {len(ids.items)} in it"
        )
    at = table["at"].to_numpy()
    return Prepared(
        users=table["user"].to_numpy().astype(np.int32),
        items=table["item"].to_numpy().astype(np.int32),
        at=at,
        actions=table["action"].to_numpy().astype(np.int8),
        parts=parts.astype(np.int8),
        sessions=sessions(table["user"].to_numpy(), at),
        ids=ids,
        source=Source(
            name=read.name,
            sha256=read.sha256,
            split=split,
            rows_read=read.rows,
            rows_kept=len(table),
            left_out=read.left_out,
            first_at=int(at.min()),
            last_at=int(at.max()),
            validation_from=bounds[0],
            held_out_from=bounds[1],
            catalogue_size=size,
        ),
    )
