"""An archive for tests: its parts, and what each of its readers makes of it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import duckdb
import polars as pl

from services.archive.domain.gathering import Gathered
from services.archive.domain.tables import event_row
from services.archive.writing import Writer
from services.shared.archive_keys import KeyFiles, PersonKeys
from services.shared.archive_log import Log, Partition
from services.shared.archive_reader import ArchiveReader, Days
from services.shared.archive_rows import Archived
from services.shared.archive_storage import ArchiveStorage
from services.shared.sealing import MasterKey
from tests.profile_events import NOON, Event, FakeRecord, key_of, view

MASTER = MasterKey(bytes(range(32)))
TABLE = "shopper-events"
PARTITION = Partition(TABLE, "T0pic-id", 0)
NOON_MS = int(NOON.timestamp() * 1000)
DAY_MS = 24 * 3600 * 1000

Roots = Callable[[], str]
"""Answers an empty root each time."""

Place = tuple[str, int, int]
"""Topic id, partition, offset."""


class Clock:
    """Microseconds since 1970, as told."""

    def __init__(self, now: int = NOON_MS * 1000) -> None:
        self.now = now

    def __call__(self) -> int:
        """The time."""
        return self.now


def keys_of(storage: ArchiveStorage, now: Clock | None = None) -> PersonKeys:
    """The keys of an archive, as they are now."""
    keys = PersonKeys(KeyFiles(storage), MASTER, now_micros=now or Clock())
    keys.look()
    return keys


def record_at(one: Event, offset: int, *, appended_ms: int = NOON_MS) -> FakeRecord:
    """An event's record."""
    return FakeRecord(key_of(one), json.dumps(one).encode(), offset, appended_ms)


def gathered(records: Iterable[FakeRecord]) -> Gathered:
    """What has come of a partition."""
    made = Gathered(0)
    for record in records:
        made.rows.append(event_row(record))
        made.passed(record.offset, len(record.value or b""), 0.0)
    return made


class Archivist(NamedTuple):
    """One process' way to write one partition."""

    writer: Writer
    log: Log

    def archive(self, records: Iterable[FakeRecord]) -> None:
        """Put records into files that count and have their names."""
        told = gathered(records)
        (staged,) = self.writer.stage([(self.log, told)])
        self.log.archive(staged.next, staged.files)
        self.log.settle(staged.files)


def archivist(
    storage: ArchiveStorage, partition: Partition = PARTITION, now: Clock | None = None
) -> Archivist:
    """A process that has claimed the partition."""
    writer = Writer(storage, MASTER, now_micros=now or Clock())
    return Archivist(writer, writer.claim(partition, 0))


def read(
    storage: ArchiveStorage,
    partition: Partition = PARTITION,
    *,
    shop: str | None = None,
    days: Days | None = None,
) -> list[Archived]:
    """What the reader yields."""
    return list(ArchiveReader(storage, keys_of(storage)).read(partition, shop=shop, days=days))


def places_by_reader(storage: ArchiveStorage, table: str = TABLE) -> Counter[Place]:
    """How often the reader yields each offset."""
    reader = ArchiveReader(storage, keys_of(storage))
    return Counter(
        (partition.topic_id, row.partition, row.offset)
        for partition in reader.partitions(table)
        for row in reader.read(partition)
    )


def places_by_duckdb(root: Path, table: str = TABLE) -> Counter[Place]:
    """How often DuckDB finds each offset, by nothing but a pattern."""
    pattern = f"{root}/{table}/**/*.parquet"
    found = duckdb.sql(
        f"select topic_id, partition, \"offset\" from read_parquet('{pattern}')"  # noqa: S608 - a test's own folder
    )
    assert found is not None
    return Counter(
        (str(topic), int(partition), int(offset)) for topic, partition, offset in found.fetchall()
    )


def places_by_polars(root: Path, table: str = TABLE) -> Counter[Place]:
    """How often polars finds each offset, by nothing but a pattern."""
    frame = pl.scan_parquet(f"{root}/{table}/**/*.parquet").select(
        "topic_id", "partition", "offset"
    )
    return Counter(frame.collect().iter_rows())


def once(places: Sequence[Place]) -> Counter[Place]:
    """Each of them, once."""
    return Counter(dict.fromkeys(places, 1))


def views(first: int, count: int) -> list[FakeRecord]:
    """Records at offsets from ``first`` on, of three shoppers of two shops on two days."""
    return [
        record_at(
            view(n, user=f"u{n % 3}", shopId=f"shop-{n % 2}"),
            n,
            appended_ms=NOON_MS + n % 5 // 4 * DAY_MS,
        )
        for n in range(first, first + count)
    ]
