"""From cleaned rows to shards: codes instead of names, one order, parts that do not overlap.

Users, items and queries are numbered by their names, ascending, so no number depends on how
the rows were parted. Memory holds the names, a file of cleaned rows, and a shard.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from model_export.errors import DataRefused
from model_export.preparation import reasons
from model_export.preparation.engine import Advance
from model_export.preparation.gathering import nothing_left
from model_export.preparation.reasons import BY_CODE, KEPT
from model_export.preparation.splits import Split
from model_export.preparation.spool import HELD, Spool
from model_export.prepared_folder import COLUMNS
from services.shared.model_input import SEARCH

BOTS = (reasons.BOT_BY_RATE.code, reasons.BOT_BY_BREADTH.code)


class Tally(NamedTuple):
    """What cleaned rows hold, before they are numbered."""

    users: pl.DataFrame
    """``user_id`` and ``rows`` that are kept, ascending."""
    seen: pl.DataFrame
    """``thing``: the items of kept rows, ascending."""
    queries: pl.DataFrame
    """``thing``: the words of kept searches, ascending."""
    actions: dict[int, int]
    left_out: Counter[str]
    first_at: int
    last_at: int
    bots: int


class Shards(NamedTuple):
    """What was written."""

    sessions: int
    parts: np.ndarray[tuple[int], np.dtype[np.int64]]
    """[3] rows of each part."""


def tallied(name: str, files: Sequence[Path], gone: Counter[str]) -> Tally:
    """Look at all cleaned rows once; ``gone`` were left out before.

    Raises DataRefused where nothing can be learned of them.
    """
    users, things, spans = [], [], []
    actions: Counter[int] = Counter()
    left_out = Counter(gone)
    bots: set[str] = set()
    for path in files:
        rows = pl.read_parquet(path)
        for code, count in rows["reason"].value_counts().iter_rows():
            if code != KEPT:
                left_out[BY_CODE[code].name] += count
        bots.update(rows.filter(pl.col("reason").is_in(BOTS))["user_id"].unique())
        kept = rows.filter(pl.col("reason") == KEPT)
        actions.update(dict(kept["action"].value_counts().iter_rows()))
        users.append(kept.group_by("user_id").agg(rows=pl.len().cast(pl.Int64)))
        things.append(kept.select("thing", is_query=pl.col("action") == SEARCH).unique())
        if len(kept):
            spans += [int(kept["at"].to_numpy().min()), int(kept["at"].to_numpy().max())]
    if not spans:
        raise nothing_left(name, left_out)
    whole = pl.concat(users).group_by("user_id").agg(pl.col("rows").sum()).sort("user_id")
    every = pl.concat(things).unique().sort("thing")
    is_query = pl.col("is_query")
    tally = Tally(
        whole,
        every.filter(~is_query).select("thing"),
        every.filter(is_query).select("thing"),
        dict(sorted(actions.items())),
        left_out,
        min(spans),
        max(spans),
        len(bots),
    )
    _refuse_too_little(name, tally)
    return tally


def write_shards(
    files: Sequence[Path],
    tally: Tally,
    items: pl.Series,
    split: Split,
    folder: Path,
    advance: Advance,
    *,
    rows: tuple[int, int],
) -> Shards:
    """Write the kept rows to ``folder``; ``items`` are all item ids, ascending.

    ``rows`` says how many may wait in memory, and how many a shard has, about.
    """
    held, shard_rows = rows
    before = tally.users["rows"].cum_sum() - tally.users["rows"]
    users = tally.users.select("user_id", _codes(len(tally.users), "user")).with_columns(
        shard=before // shard_rows
    )
    things = pl.concat(
        [
            pl.DataFrame({"thing": items, "is_query": False}),
            tally.queries.with_columns(is_query=pl.lit(value=True)),
        ]
    )
    things = things.with_columns(_codes(len(things), "item"))
    spool = Spool(folder.with_name("numbered"), held=min(HELD, held))
    for number, path in enumerate(files):
        kept = pl.read_parquet(path).filter(pl.col("reason") == KEPT)
        coded = kept.with_columns(is_query=pl.col("action") == SEARCH).join(users, on="user_id")
        coded = coded.join(things, on=["thing", "is_query"])
        columns = ("user", "item", "at", "action", "session", "place", "shard")
        spool.add(coded.select(columns), pl.col("shard"))
        advance((number + 1) / len(files) / 2)
    spool.finish()
    return _sorted_shards(spool, split, tally.last_at, folder, advance)


def _sorted_shards(spool: Spool, split: Split, last: int, folder: Path, advance: Advance) -> Shards:
    folder.mkdir()
    sessions, counts = 0, np.zeros(3, dtype=np.int64)
    parts = spool.parts()
    for number, files in enumerate(parts):
        rows = pl.concat([pl.read_parquet(path) for path in files]).sort("user", "at", "place")
        part = split.parts(rows, last)
        counts += np.bincount(part, minlength=3)
        sessions += int(rows.group_by("user").agg(pl.col("session").max())["session"].sum())
        sessions += rows["user"].n_unique()
        shard = rows.with_columns(part=pl.Series(part, dtype=pl.Int8))
        shard.select(name for name, _ in COLUMNS.values()).write_parquet(
            folder / f"{number:05}.parquet"
        )
        advance(0.5 + (number + 1) / len(parts) / 2)
    return Shards(sessions, counts)


def _codes(size: int, name: str) -> pl.Series:
    return pl.int_range(0, size, dtype=pl.Int32, eager=True).alias(name)


def _refuse_too_little(name: str, tally: Tally) -> None:
    most = tally.users["rows"].max()
    if isinstance(most, int) and most < 2:
        raise DataRefused(
            f"{name}: none of its {len(tally.users)} users did more than one thing; what comes "
            "after what cannot be learned of them"
        )
    if len(tally.seen) < 2:
        raise DataRefused(f"{name}: all rows are about one item; there is nothing to choose from")
