"""Prepared data sets in memory: of rows that a test or an evaluation holds, not cleaned.

Whole sources go through :mod:`model_export.preparation.stage`, which cleans and writes a folder.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import narwhals as nw
import numpy as np
import polars as pl

from model_export import prepared_folder
from model_export.dataset import Ids, Prepared, Source
from model_export.errors import DataRefused
from model_export.preparation.complete_journey import complete_journey_feed
from model_export.preparation.rules import ordered
from model_export.preparation.sessions import with_sessions
from model_export.preparation.settings import Cleaning
from model_export.preparation.sources import Read
from model_export.preparation.splits import ByTime, LeaveOneOut, Split
from model_export.preparation.stage import Wanted, prepare


def prepare_by_time(
    read: Read, *, holdout_days: int, validation_days: int, catalogue_size: int | None = None
) -> Prepared:
    """Split by time. Raises DataRefused where a part would be empty."""
    return _prepared(read, ByTime(holdout_days, validation_days), catalogue_size)


def prepare_leave_one_out(read: Read, *, catalogue_size: int | None = None) -> Prepared:
    """Split by position: the last of each user is held out, the last but one validates."""
    return _prepared(read, LeaveOneOut(), catalogue_size)


def prepare_complete_journey() -> Prepared:
    """The Complete Journey data, cleaned, described and split as for the committed bundle."""
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "data"
        prepare(complete_journey_feed(), Wanted(), made)
        return prepared_folder.load(made)


def _prepared(read: Read, split: Split, catalogue_size: int | None) -> Prepared:
    ids, table = _numbered(read)
    last = int(table["at"].max())  # type: ignore[arg-type]  # Read.frame is never empty
    first = int(table["at"].min())  # type: ignore[arg-type]  # as above
    parts = split.parts(table, last)
    split.check(read.name, np.bincount(parts, minlength=3), first, last)
    size = catalogue_size or read.catalogue_size or len(ids.items)
    if size < len(ids.items):
        raise DataRefused(
            f"{read.name}: a catalogue of {size} products cannot hold the {len(ids.items)} in it"
        )
    bounds = split.bounds(last)
    return Prepared(
        users=table["user"].to_numpy(),
        items=table["item"].to_numpy(),
        at=table["at"].to_numpy(),
        actions=table["action"].to_numpy(),
        parts=parts,
        sessions=table["session"].to_numpy(),
        ids=ids,
        source=Source(
            name=read.name,
            sha256=read.sha256,
            split=split.name,
            rows_read=read.rows,
            rows_kept=len(table),
            left_out=read.left_out,
            first_at=first,
            last_at=last,
            validation_from=bounds[0],
            held_out_from=bounds[1],
            catalogue_size=size,
        ),
    )


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
        .with_columns(session_id=pl.lit(None, pl.String), reason=pl.lit(0, pl.Int8))
        .join(users, on="user_id", how="left")
        .join(items, on="item_id", how="left")
    )
    rows = ordered(nw.from_native(table, eager_only=True))
    numbered = with_sessions(rows, Cleaning().session_minutes).to_native()
    kinds = {"user": pl.Int32, "item": pl.Int32, "action": pl.Int8, "session": pl.Int32}
    return ids, numbered.sort("user", "at", "place").cast(kinds)
