"""A prepared data set on disk.

::

    interactions/00000.parquet   shards: user, item, at, action, part, session; a user's rows
                                 stand together, ordered by time, in one shard
    items.parquet                item_id, features, and what the source said of each product
    users.parquet                user_id, group
    queries.parquet              query
    features.json                what the numbers in ``features`` stand for
    text_items.npy               [items, k] float16, where titles were turned into vectors
    text_queries.npy             [queries, k] float16, likewise
    prepared.json                where it came from, its span, what was left out and why

:func:`load` reads all of it; training reads shard by shard (:func:`shard_paths`,
:func:`read_shard`), so interactions need not fit in memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Final, TypeVar

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from model_export.dataset import (
    HELD_OUT,
    About,
    Content,
    Features,
    Ids,
    Interactions,
    Prepared,
    Sharded,
    Tables,
)
from model_export.errors import UNREADABLE, DataRefused
from model_export.source import Source

T = TypeVar("T")

SHARD_ROWS: Final = 2_000_000
"""About so many rows are in a shard; one user's are never divided."""

ITEM_VECTORS: Final = "text_items.npy"
QUERY_VECTORS: Final = "text_queries.npy"

COLUMNS: Final = {
    "users": ("user", np.int32),
    "items": ("item", np.int32),
    "at": ("at", np.int64),
    "actions": ("action", np.int8),
    "parts": ("part", np.int8),
    "sessions": ("session", np.int32),
}
"""Array → column of a shard and its type."""

NO_TABLE: Final = (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError)
"""What reading a damaged table can raise; a panic is no Exception."""


def save(data: Prepared, folder: Path, *, shard_rows: int = SHARD_ROWS) -> None:
    """Write ``data`` to ``folder``, made if need be."""
    shards = folder / "interactions"
    shards.mkdir(parents=True, exist_ok=True)
    for old in shards.glob("*.parquet"):
        old.unlink()
    for number, rows in enumerate(_shards(data.users, shard_rows)):
        columns = {name: getattr(data, array)[rows] for array, (name, _) in COLUMNS.items()}
        pl.DataFrame(columns).write_parquet(shards / f"{number:05}.parquet")
    ids, content = data.ids, data.content
    features = content.features if content else np.zeros((len(ids.items), 0), dtype=np.int32)
    lists = pl.Series([row[row > 0].tolist() for row in features], dtype=pl.List(pl.Int32))
    about = Tables(
        items=pl.DataFrame({"item_id": pl.Series(ids.items, dtype=pl.String), "features": lists}),
        users=pl.DataFrame(
            {"user_id": ids.users, "group": ids.groups},
            schema={"user_id": pl.String, "group": pl.String},
        ),
        queries=pl.DataFrame({"query": ids.queries}, schema={"query": pl.String}),
        features=Features(content.names, content.encoder, content.price_bounds)
        if content
        else Features(),
        source=data.source,
    )
    save_about(about, folder)
    save_vectors(content.text if content else None, folder / ITEM_VECTORS)
    save_vectors(content.query_text if content else None, folder / QUERY_VECTORS)


def shard_paths(folder: Path) -> list[Path]:
    """The shards of a prepared folder, in order. Raises DataRefused where there is none."""
    found = sorted((folder / "interactions").glob("*.parquet"))
    if not found:
        raise _missing(folder / "interactions")
    return found


class Shards(Sharded):
    """The shards of a prepared folder; one stays in memory."""

    def __init__(self, folder: Path) -> None:
        """Raises DataRefused where there is none."""
        self._paths = shard_paths(folder)
        self._most = _rows(folder, "users"), _rows(folder, "items") + _rows(folder, "queries")
        self._held: tuple[int, Interactions] | None = None

    def __len__(self) -> int:
        return len(self._paths)

    def shard(self, index: int) -> Interactions:
        """See :class:`model_export.dataset.Sharded`. Raises DataRefused."""
        if self._held is None or self._held[0] != index:
            self._held = None  # or there would be two for a moment
            shard = read_shard(self._paths[index])
            _check(self._paths[index], shard, *self._most)
            self._held = index, shard
        return self._held[1]


def read_shard(path: Path) -> Interactions:
    """One shard. Raises DataRefused."""
    try:
        frame = pl.read_parquet(path)
        arrays = {
            array: frame[name].to_numpy().astype(kind, copy=False)
            for array, (name, kind) in COLUMNS.items()
        }
    except NO_TABLE as error:
        raise DataRefused(f"{path} is no shard of a prepared data set: {error}") from error
    return Interactions(**arrays)


def _check(path: Path, shard: Interactions, users: int, codes: int) -> None:
    """Raise DataRefused where a number of a shard stands for nothing in the tables."""
    for column, most in ((shard.users, users), (shard.items, codes), (shard.parts, HELD_OUT + 1)):
        if len(column) and not 0 <= int(column.min()) <= int(column.max()) < most:
            raise DataRefused(
                f"{path} does not belong to the tables beside it, or is damaged: make the folder "
                "again with 'python -m model_export prepare'"
            )


def _rows(folder: Path, table: str) -> int:
    """How many rows a table has. Raises DataRefused."""
    path = folder / f"{table}.parquet"
    try:
        return int(pl.scan_parquet(path).select(pl.len()).collect().item())
    except FileNotFoundError as error:
        raise _missing(path) from error
    except NO_TABLE as error:
        raise DataRefused(f"{path} is no table of a prepared data set: {error}") from error


def load_about(folder: Path) -> About:
    """All but the interactions. Raises DataRefused."""
    source = _json(folder / "prepared.json", Source)
    items, users, queries = (_table(folder, name) for name in ("items", "users", "queries"))
    try:
        ids = Ids(
            users=users["user_id"].to_list(),
            items=items["item_id"].to_list(),
            queries=queries["query"].to_list(),
            groups=users["group"].to_list(),
        )
        content = _load_content(folder, items["features"])
    except (ValueError, *NO_TABLE) as error:
        raise DataRefused(f"{folder} is no prepared data set: {error}") from error
    return About(ids, source, content)


def load(folder: Path) -> Prepared:
    """Read what :func:`save` wrote, all at once. Raises DataRefused."""
    ids, source, content = load_about(folder)
    parts = list(Shards(folder))
    whole = {
        field.name: np.concatenate([getattr(part, field.name) for part in parts])
        for field in fields(Interactions)
    }
    return Prepared(**whole, ids=ids, source=source, content=content)


def _shards(users: NDArray[np.int32], rows: int) -> Iterator[slice]:
    """Cuts that leave each user whole."""
    ends = np.append(np.flatnonzero(np.diff(users)) + 1, len(users))
    start = 0
    while start < len(users):
        stop = int(ends[min(int(np.searchsorted(ends, start + rows)), len(ends) - 1)])
        yield slice(start, stop)
        start = stop


def save_about(about: Tables, folder: Path) -> None:
    """Write all but interactions and vectors."""
    about.items.write_parquet(folder / "items.parquet")
    about.users.write_parquet(folder / "users.parquet")
    about.queries.write_parquet(folder / "queries.parquet")
    (folder / "features.json").write_bytes(msgspec.json.encode(about.features))
    source = msgspec.json.format(msgspec.json.encode(about.source), indent=2)
    (folder / "prepared.json").write_bytes(source + b"\n")


def save_vectors(vectors: NDArray[np.float16] | None, path: Path) -> None:
    """Write vectors of texts, or remove those of before where there are none."""
    if vectors is None:
        path.unlink(missing_ok=True)
    else:
        np.save(path, vectors)


def _load_content(folder: Path, lists: pl.Series) -> Content | None:
    known = _json(folder / "features.json", Features)
    text = _vectors(folder / ITEM_VECTORS, len(lists))
    query_text = _vectors(folder / QUERY_VECTORS, _rows(folder, "queries"))
    if not known.names and text is None:
        return None
    most = int(lists.list.len().max() or 0)  # type: ignore[arg-type]  # an integer column's
    features = np.zeros((len(lists), most), dtype=np.int32)
    lengths = lists.list.len().to_numpy()
    features[np.arange(most) < lengths[:, None]] = lists.explode().drop_nulls().to_numpy()
    if features.min(initial=0) < 0 or features.max(initial=0) > len(known.names):
        raise DataRefused(f"{folder}/items.parquet has features that features.json does not name")
    return Content(known.names, features, text, query_text, known.encoder, known.price_bounds)


def _json(path: Path, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except FileNotFoundError as error:
        raise _missing(path) from error
    except (msgspec.MsgspecError, ValueError, OSError) as error:
        raise DataRefused(f"{path} is of no prepared data set: {error}") from error


def _table(folder: Path, name: str) -> pl.DataFrame:
    path = folder / f"{name}.parquet"
    try:
        return pl.read_parquet(path)
    except FileNotFoundError as error:
        raise _missing(path) from error
    except NO_TABLE as error:
        raise DataRefused(f"{path} is no table of a prepared data set: {error}") from error


def _vectors(path: Path, rows: int) -> NDArray[np.float16] | None:
    """Vectors of texts, one for each of ``rows``; None where there are none."""
    if not path.exists():
        return None
    try:
        found: NDArray[np.float16] = np.load(path, allow_pickle=False)
    except UNREADABLE as error:
        raise DataRefused(f"{path} holds no vectors: {error}; prepare the data again") from error
    if found.dtype != np.float16 or found.ndim != 2 or len(found) != rows:
        raise DataRefused(
            f"{path} has {found.dtype} of shape {found.shape}; it must have a vector of float16 "
            f"for each of {rows:,} texts: prepare the data again"
        )
    return found


def _missing(path: Path) -> DataRefused:
    return DataRefused(f"{path} is missing: make the folder with 'python -m model_export prepare'")
