"""Makes large files of small ones: ``python -m services.archive compact``.

Of each day and shop the rows of a partition become one file, as far as that stays below a size.
The log's entry changes them over at once, so whoever reads by the log sees every row once at
every moment; whoever reads all Parquet files by a pattern may for a moment miss some. It may run
beside the archive, and be killed: the next run, or claim, finishes what counts.

What is sealed for persons who were erased since is dropped on the way, and key files are made
one.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
import polars as pl

from services.archive.domain.tables import TABLES
from services.archive.settings import PREFIX, Root
from services.archive.writing import parquet_of
from services.shared.archive_keys import ID_BYTES, KeyFiles, PersonKeys
from services.shared.archive_log import ArchivedFile, Log, Superseded, partitions_of
from services.shared.archive_reader import as_schema, source_of
from services.shared.archive_storage import ArchiveStorage, open_storage
from services.shared.sealing import MasterKey, read_master_key
from services.shared.settings import MasterKeyFile, read_settings

COMMAND: Final = "compact"
ROWS: Final = 500_000
"""Of one file at most, so long as the smaller ones have fewer."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What of the archive's settings this command needs."""

    root: Root
    master_key_file: MasterKeyFile


class Done(NamedTuple):
    """What was made of what."""

    files_before: int
    files_after: int
    rows: int


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        prog=f"python -m services.archive {COMMAND}",
        description="Makes large files of small ones, of days that are over or of one day. "
        f"Needs {PREFIX}ROOT and {PREFIX}MASTER_KEY_FILE.",
    )
    made.add_argument("--day", help="such as 2026-03-01; otherwise all days before today (UTC)")
    return made


def compact(told: argparse.Namespace, environ: Mapping[str, str], say: Callable[[str], Any]) -> int:
    """Do it; status 0. Raises BadSetting and StorageUnavailable."""
    known = {PREFIX + field.name.upper() for field in msgspec.structs.fields(Settings)}
    ours = {name: value for name, value in environ.items() if name in known}
    settings = read_settings(Settings, prefix=PREFIX, environ=ours)
    storage = open_storage(settings.root)
    compaction = Compaction(storage, read_master_key(Path(settings.master_key_file)))
    today = time.strftime("%Y-%m-%d", time.gmtime())
    is_wanted = told.day.__eq__ if told.day else today.__gt__
    for table in TABLES:
        done = compaction.table(table.name, is_wanted)
        say(f"{table.name}: {done.files_before} files → {done.files_after}, {done.rows} rows")
    say(f"keys: {compaction.keys()} files → 1 or none")
    return 0


class Compaction:
    """Goes over tables of one storage."""

    def __init__(self, storage: ArchiveStorage, master: MasterKey) -> None:
        self._storage = storage
        self._files = KeyFiles(storage)
        self._keys = PersonKeys(self._files, master, now_micros=lambda: time.time_ns() // 1000)

    def table(self, table: str, wanted: Callable[[str], bool]) -> Done:
        """Compact the days that are wanted. Raises StorageUnavailable."""
        total = Done(0, 0, 0)
        for partition in partitions_of(self._storage, table):
            log = Log(self._storage, partition)
            log.put_in_place()
            for files in _groups(log.files, wanted):
                try:
                    self._replace(log, files)
                except (Superseded, FileNotFoundError):
                    break  # somebody else is at it; the next run sees to the rest
                rows = sum(file.rows for file in files)
                total = Done(
                    total.files_before + len(files), total.files_after + 1, total.rows + rows
                )
        return total

    def keys(self) -> int:
        """Make one file of all files of keys; answers how many there were."""
        return self._files.merge()

    def _replace(self, log: Log, files: Sequence[ArchivedFile]) -> None:
        partition = log.partition
        frame = pl.concat(
            [
                as_schema(pl.read_parquet(source_of(self._storage, partition, file)))
                for file in files
            ]
        ).sort("offset")
        frame = self._without_erased(frame)
        offsets = frame.item(0, "offset"), frame.item(-1, "offset")
        new = partition.new_file(files[0].day, files[0].shop, offsets, len(frame))
        self._storage.put(f"{partition.table}/{new.staged}", parquet_of(frame))
        try:
            log.replace(files, [new])
        except Superseded:
            self._storage.delete(f"{partition.table}/{new.staged}")
            raise

    def _without_erased(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Nothing sealed where the person was erased and the key is gone."""
        self._keys.look()  # after the log was read: keys are there before what they seal
        keys = self._keys
        sealed = [
            what
            if what is None or keys.erased_at(who) is None or keys.for_opening(who, what[:ID_BYTES])
            else None
            for who, what in frame.select("person", "sealed").iter_rows()
        ]
        return frame.with_columns(pl.Series("sealed", sealed, pl.Binary))


def _groups(
    files: Sequence[ArchivedFile], wanted: Callable[[str], bool]
) -> Iterator[list[ArchivedFile]]:
    """Files of the same day and shop that are to become one: in the order of their offsets."""
    of: defaultdict[tuple[str, str], list[ArchivedFile]] = defaultdict(list)
    for file in sorted(files, key=lambda file: file.first):
        if wanted(file.day):
            of[file.day, file.shop].append(file)
    for together in of.values():
        group: list[ArchivedFile] = []
        for file in together:
            if group and sum(one.rows for one in group) + file.rows > ROWS:
                if len(group) > 1:
                    yield group
                group = []
            group.append(file)
        if len(group) > 1:
            yield group
