"""Events of the archive, in the order in which a partition of Kafka had them.

A reader goes by the log, so it sees each offset once whatever happens to the files beneath it,
and takes one window of offsets after another: memory is bounded by that, however many shops
and days a partition has. Only the master key opens what names a person.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import polars as pl

from services.shared.archive_keys import ID_BYTES, PersonKeys
from services.shared.archive_log import (
    ArchivedFile,
    Partition,
    files_within,
    partitions_of,
    read_log,
)
from services.shared.archive_rows import SCHEMA, Archived, RowOpener
from services.shared.archive_storage import ArchiveStorage
from services.shared.errors import StorageUnavailable

WINDOW: Final = 50_000
"""Offsets that are read at once."""

TRIES: Final = 5
"""Readings of a log whose files were replaced meanwhile, before something else must be wrong."""

Days = tuple[str, str]
"""The first and the last, as ``2026-03-01``."""

_MOMENTS: Final = ("appended_at", "first_appended_at", "occurred_at")


class ArchiveReader:
    """Reads a table of the archive; counts what it had to pass over."""

    def __init__(self, storage: ArchiveStorage, keys: PersonKeys) -> None:
        self._storage = storage
        self._keys = keys
        self._opener = RowOpener(keys)
        self.erased = 0
        """Rows passed over because their person was erased."""

    def partitions(self, table: str, *, topic_id: str | None = None) -> list[Partition]:
        """What there is to read, of one topic or (None) of all that the table ever had."""
        found = partitions_of(self._storage, table)
        return [one for one in found if topic_id is None or one.topic_id == topic_id]

    def archived_up_to(self, partition: Partition) -> int:
        """All offsets before it are archived; -1 where nothing ever was."""
        return read_log(self._storage, partition).next

    def days(self, partition: Partition) -> set[str]:
        """The days of which something is archived. Raises StorageUnavailable."""
        return {file.day for file in read_log(self._storage, partition).files.values()}

    def read(
        self, partition: Partition, *, shop: str | None = None, days: Days | None = None
    ) -> Iterator[Archived]:
        """The events of a partition in the order of their offsets, as far as it is archived now.

        Raises StorageUnavailable, and SealBroken where the master key is another one.
        """
        self._keys.look()
        for frame in self.frames(partition, shop=shop, days=days):
            yield from self.opened(partition, frame)

    def read_person(self, partition: Partition, shop: str, pseudonym: bytes) -> Iterator[Archived]:
        """The events of one person. Raises StorageUnavailable and SealBroken."""
        self._keys.look()
        for frame in self.frames(partition, shop=shop):
            yield from self.opened(partition, frame.filter(pl.col("person") == pseudonym))

    def standing(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The rows of :meth:`frames` whose persons were not erased; nothing is opened.

        Raises SealBroken where the master key is another one.
        """
        marked = frame.with_columns(_key=pl.col("sealed").bin.slice(0, ID_BYTES))
        pairs = marked.select("person", "_key").unique().drop_nulls()
        alive = [
            person is not None and self._keys.for_opening(person, key) is not None
            for person, key in pairs.iter_rows()
        ]
        kept = marked.join(
            pairs.filter(pl.Series(alive, dtype=pl.Boolean)),
            on=["person", "_key"],
            how="semi",
            maintain_order="left",
        )
        self.erased += len(frame) - len(kept)
        return kept.drop("_key")

    def opened(self, partition: Partition, frame: pl.DataFrame) -> Iterator[Archived]:
        """The events of rows of :meth:`frames`. Raises SealBroken."""
        for row in _plain(frame).iter_rows(named=True):
            event = self._opener.event(row)
            if event is None:
                self.erased += 1
                continue
            appended, first_appended = row["appended_at"], row["first_appended_at"]
            yield Archived(partition.partition, row["offset"], appended, first_appended, event)

    def frames(
        self, partition: Partition, *, shop: str | None = None, days: Days | None = None
    ) -> Iterator[pl.DataFrame]:
        """The same as rows of :data:`SCHEMA`, nothing opened. Raises StorageUnavailable."""
        state = read_log(self._storage, partition)
        end, at, failed = state.next, 0, 0
        while True:
            files = sorted(files_within(state, shop=shop, days=days), key=lambda file: file.first)
            coming = [file for file in files if file.last >= at and file.first < end]
            if not coming:
                return
            at = max(at, coming[0].first)
            try:
                frame = self._window(partition, coming, at, min(at + WINDOW, end))
            except FileNotFoundError as error:  # replaced by a larger one just now
                failed += 1
                if failed >= TRIES:
                    raise StorageUnavailable(f"{partition}: {error} is not there") from error
                state = read_log(self._storage, partition, state)
                continue
            failed = 0
            at = min(at + WINDOW, end)
            yield frame

    def _window(
        self, partition: Partition, files: list[ArchivedFile], at: int, upto: int
    ) -> pl.DataFrame:
        """Rows of offsets from ``at`` to before ``upto``. Raises FileNotFoundError."""
        wanted = pl.col("offset").is_between(at, upto - 1)
        found = [
            self._frame(partition, file, wanted)
            for file in files
            if file.first < upto and file.last >= at
        ]
        return pl.concat(found).sort("offset")

    def _frame(self, partition: Partition, file: ArchivedFile, wanted: pl.Expr) -> pl.DataFrame:
        frame = pl.scan_parquet(
            source_of(self._storage, partition, file), hive_partitioning=False
        ).filter(wanted)
        try:
            return as_schema(frame.collect())
        except OSError as error:
            if isinstance(error, FileNotFoundError):
                raise
            raise StorageUnavailable(f"{file.path}: {error}") from error


def source_of(storage: ArchiveStorage, partition: Partition, file: ArchivedFile) -> Any:
    """Where a file lies now: at its name, or staged. Raises FileNotFoundError."""
    try:
        return storage.source(f"{partition.table}/{file.path}")
    except FileNotFoundError:
        return storage.source(f"{partition.table}/{file.staged}")


def as_schema(frame: pl.DataFrame) -> pl.DataFrame:
    """Rows of whatever version as this release has them: null where there was no such column."""
    return frame.select(
        pl.col(name) if name in frame.columns else pl.lit(None, kind).alias(name)
        for name, kind in SCHEMA.items()
    )


def _plain(frame: pl.DataFrame) -> pl.DataFrame:
    """Moments as microseconds since 1970."""
    return frame.with_columns(pl.col(name).cast(pl.Int64) for name in _MOMENTS)
