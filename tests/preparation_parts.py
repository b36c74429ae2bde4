"""Rows, sources and prepared folders for tests of model_export.preparation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import narwhals as nw
import numpy as np
import polars as pl

from model_export.preparation.engine import Gathered, PolarsEngine, cleaned
from model_export.preparation.reasons import BY_CODE, KEPT
from model_export.preparation.rows import ROW, Feed, PassedOver
from model_export.preparation.rules import medians
from model_export.preparation.settings import Cleaning
from services.shared.model_input import VIEW

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
MAY = 1_714_521_600 * SECOND
"""2024-05-01T00:00:00Z."""

Told = Mapping[str, Any]


def row(at: int, thing: str | None = "mug", action: int = VIEW, **more: Any) -> dict[str, Any]:
    """Something that ana does ``at`` microseconds after the beginning of May."""
    return {"user_id": "ana", "thing": thing, "action": action, "at": MAY + at, **more}


def frame_of(rows: Sequence[Told]) -> pl.DataFrame:
    """Rows with all columns, in their places."""
    told = [{"place": place, **each} for place, each in enumerate(rows)]
    return pl.DataFrame(
        [[each.get(name) for name in ROW] for each in told], dict(ROW), orient="row"
    )


def clean(
    rows: Sequence[Told], limits: Cleaning | None = None, *, is_paced: bool = True
) -> pl.DataFrame:
    """What the rules make of rows, in their places; ``reason`` is a name, "" for kept."""
    frame = frame_of(rows)
    about = Gathered([], [], is_paced, frozenset(frame["action"]))
    prices = medians(nw.from_native(frame.select("thing", "price").drop_nulls().lazy()))
    found = cleaned(nw.from_native(frame.lazy()), prices, limits or Cleaning(), about)
    names = {KEPT: "", **{code: each.name for code, each in BY_CODE.items()}}
    native: pl.DataFrame = found.to_native().collect().sort("place")
    return native.with_columns(pl.col("reason").replace_strict(names, return_dtype=pl.String))


def reasons_of(
    rows: Sequence[Told], limits: Cleaning | None = None, *, is_paced: bool = True
) -> list[str]:
    """The reason of each row; "" where it is kept."""
    return clean(rows, limits, is_paced=is_paced)["reason"].to_list()


def feed_of(*batches: Sequence[Told], **more: Any) -> Feed:
    """A source that yields these rows, batch by batch."""
    frames = [pl.DataFrame(list(batch), infer_schema_length=None) for batch in batches]

    def read(_: PassedOver) -> Iterator[pl.DataFrame]:
        yield from frames

    return Feed("hand", "00" * 32, sum(map(len, frames)), read, **more)


def few() -> list[dict[str, Any]]:
    """Four things that one user did."""
    return [row(n * DAY, item) for n, item in enumerate(("mug", "pen", "mug", "cup"))]


def month(users: int = 12, days: int = 50) -> list[dict[str, Any]]:
    """Each user views, searches and buys once a day, of eight products; long enough to split."""
    chance = np.random.default_rng(5)
    found = []
    for user in range(users):
        for day in range(days):
            item = f"i{chance.integers(8)}"
            head: dict[str, Any] = {"user_id": f"u{user:02}", "price": 10.0 + user % 3}
            at = day * DAY + int(chance.integers(HOUR, 20 * HOUR))
            found.append(row(at, item, **head))
            found.append(row(at + MINUTE, "blue mug", 5, **head))
            found.append(row(at + 2 * MINUTE, item, 4, order_id=f"o{day}", quantity=1, **head))
    return found


def files_in(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, by its path."""
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def kept_things(folder: Path) -> Iterable[str]:
    """What the rows of a prepared folder are about, in their order."""
    items = pl.read_parquet(folder / "items.parquet")["item_id"].to_list()
    names = items + pl.read_parquet(folder / "queries.parquet")["query"].to_list()
    rows = pl.concat(
        [pl.read_parquet(path) for path in sorted((folder / "interactions").iterdir())]
    )
    return [names[code] for code in rows["item"]]


class FailingEngine(PolarsEngine):
    """Stops in the middle of its work, as a disk that is full makes it."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def clean(self, gathered: Gathered, limits: Cleaning, folder: Path, advance: Any) -> Any:
        super().clean(gathered, limits, folder, advance)
        raise self._error
