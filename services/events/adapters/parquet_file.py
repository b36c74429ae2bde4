"""Rows of a Parquet file, a batch at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import polars as pl
from polars.exceptions import PolarsError

from services.events.domain.rows import Row
from services.shared.errors import BadInput

BATCH_ROWS: Final = 10_000

_AS_TEXT: Final = (pl.String, pl.Decimal, pl.Categorical, pl.Enum)


class ParquetFile:
    """A file whose columns are text, whole numbers, decimals, dates, times or lists of text."""

    def __init__(self, path: Path) -> None:
        """Reads the schema. Raises BadInput."""
        self.path = path
        try:
            self._frame = pl.scan_parquet(path)
            self._schema = self._frame.collect_schema()
            self._count = int(self._frame.select(pl.len()).collect().item())
            self._bytes = path.stat().st_size
        except (PolarsError, OSError) as error:
            raise BadInput(f"{path} cannot be read as Parquet: {str(error)[:300]}") from error
        self.columns = list(self._schema)

    def rows(self, *, after: int, columns: Sequence[str]) -> Iterator[Row]:
        """The rows behind the first ``after``; of each cells of ``columns`` that are not empty.

        Raises BadInput for a column of another type, and where the file is damaged.
        """
        text = self._frame.select(self._as_text(name) for name in columns).slice(after)
        number = after
        try:
            for batch in text.collect_batches(chunk_size=BATCH_ROWS, maintain_order=True):
                for cells in batch.iter_rows():
                    number += 1
                    told = {n: cell for n, cell in zip(columns, cells, strict=True) if cell}
                    yield Row(number, told, self._bytes * number // self._count)
        except PolarsError as error:
            said = f"{self.path} cannot be read behind row {number:,}: {str(error)[:300]}"
            raise BadInput(said) from error

    def _as_text(self, name: str) -> pl.Expr:
        """A column as CSV would have it; a time as ISO 8601."""
        kind, column = self._schema[name], pl.col(name)
        if isinstance(kind, pl.Datetime):
            return column.dt.to_string("iso:strict")
        if isinstance(kind, pl.Date):
            return column.dt.to_string("%Y-%m-%d")
        if kind.is_integer() or isinstance(kind, _AS_TEXT):
            return column.cast(pl.String)
        if isinstance(kind, pl.List) and isinstance(kind.inner, pl.String):
            return column
        raise BadInput(
            f"{self.path}: column {name!r} is of type {kind}; write it as text, whole numbers, "
            "decimals, dates, times or lists of text (floats do not keep an amount exactly)"
        )
