"""What was gathered, put into files that count from then on.

In this order, each step on disk before the next: keys of new persons, files under names that do
not count, the log's entry that makes them count, their names. Killed anywhere, whoever claims
the partition finishes the last step or throws away the first ones, and reads on where the log
ends.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from typing import Final, NamedTuple

import polars as pl

from services.archive.domain.gathering import Gathered
from services.archive.metrics import BYTES, FILES
from services.shared.archive_keys import KeyFiles, PersonKeys
from services.shared.archive_log import ArchivedFile, Log, Partition
from services.shared.archive_rows import SCHEMA_VERSION, RowSealer
from services.shared.archive_storage import ArchiveStorage
from services.shared.sealing import MasterKey

ROW_GROUP: Final = 32_768
"""Rows that can be read apart."""

LEVEL: Final = 3
"""Of zstd."""


class Staged(NamedTuple):
    """Rows of one partition that lie staged."""

    next: int
    files: list[ArchivedFile]


class Writer:
    """Claims partitions and writes to them; one thread at a time."""

    def __init__(
        self,
        storage: ArchiveStorage,
        master: MasterKey,
        *,
        now_micros: Callable[[], int] = lambda: time.time_ns() // 1000,
    ) -> None:
        self._storage = storage
        self._keys = PersonKeys(KeyFiles(storage), master, now_micros=now_micros)
        self._sealer = RowSealer(self._keys, master)

    def claim(self, partition: Partition, earliest: int) -> Log:
        """The partition's log, which is ours from now on.

        ``earliest`` is where a partition begins that was never archived. Raises
        StorageUnavailable.
        """
        log = Log(self._storage, partition)
        log.claim(lambda: earliest)
        return log

    def stage(self, work: list[tuple[Log, Gathered]]) -> list[Staged]:
        """Put the rows of partitions into files that do not count yet.

        Raises StorageUnavailable; what was put until then is thrown away.
        """
        self._keys.look()
        while True:
            frames = [
                self._sealer.frame(log.partition.topic_id, log.partition.partition, one.rows)
                for log, one in work
            ]
            if self._keys.save():
                break
        staged = [Staged(one.next, []) for _, one in work]
        try:
            for (log, _), frame, into in zip(work, frames, staged, strict=True):
                self._stage(log.partition, frame, into.files)
        except BaseException:
            self.discard(work, staged)
            raise
        return staged

    def discard(self, work: list[tuple[Log, Gathered]], staged: list[Staged]) -> None:
        """Throw away what does not count. Raises StorageUnavailable."""
        for (log, _), each in zip(work, staged, strict=True):
            for file in each.files:
                self._storage.delete(f"{log.partition.table}/{file.staged}")

    def _stage(self, partition: Partition, frame: pl.DataFrame, files: list[ArchivedFile]) -> None:
        for part in frame.partition_by("day", "shop_id", maintain_order=True):
            day, shop = part.item(0, "day"), part.item(0, "shop_id")
            offsets = part.item(0, "offset"), part.item(-1, "offset")
            file = partition.new_file(day, shop, offsets, len(part))
            content = parquet_of(part.drop("day"))
            self._storage.put(f"{partition.table}/{file.staged}", content)
            files.append(file)
            FILES.inc()
            BYTES.inc(len(content))


def parquet_of(frame: pl.DataFrame) -> bytes:
    """A file's content."""
    content = io.BytesIO()
    frame.write_parquet(
        content,
        compression="zstd",
        compression_level=LEVEL,
        row_group_size=ROW_GROUP,
        metadata={"schema_version": SCHEMA_VERSION},
    )
    return content.getvalue()
