"""What the archive holds of a person: events, which nobody can read once their key is gone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from google.protobuf import json_format

from services.shared.archive_keys import Erased, KeyFiles, PersonKeys
from services.shared.archive_log import Partition
from services.shared.archive_reader import ArchiveReader
from services.shared.archive_rows import Archived
from services.shared.archive_storage import ArchiveStorage
from services.shared.personal_data import AT_ONCE, Entry, Person
from services.shared.sealing import MasterKey

PLACE: Final = "archive/"
"""Stands before a table's name where places are named."""


class ArchivedPersons:
    """A :class:`PersonalStore` over tables of the archive.

    Rows are found by the person's pseudonym, which is not kept anywhere; telling all reads
    all files of the shop. Forgetting deletes the person's keys: what was sealed under them is
    lost for good, in every copy of the files. What is in clear stays, as nobody's.
    """

    def __init__(
        self,
        storage: ArchiveStorage,
        master: MasterKey,
        tables: frozenset[str],
        *,
        now_micros: Callable[[], int] = lambda: time.time_ns() // 1000,
    ) -> None:
        """``tables`` are those that hold something of persons."""
        self.places = frozenset(PLACE + table for table in tables)
        self._storage = storage
        self._master = master
        self._tables = sorted(tables)
        self._files = KeyFiles(storage)
        self._now = now_micros

    async def find(self, person: Person) -> bool:
        """See :class:`PersonalStore`."""
        keys = self._keys()
        await asyncio.to_thread(keys.look)
        return keys.has(self._master.pseudonym(person.name))

    async def export(self, person: Person) -> AsyncIterator[Entry]:
        """See :class:`PersonalStore`."""
        reader = ArchiveReader(self._storage, self._keys())
        for table in self._tables:
            for partition in await asyncio.to_thread(reader.partitions, table):
                rows = reader.read_person(
                    partition, person.shop_id, self._master.pseudonym(person.name)
                )
                while (row := await asyncio.to_thread(next, rows, None)) is not None:
                    yield _entry(partition, row)

    async def erase(self, person: Person) -> timedelta:
        """See :class:`PersonalStore`. What happened until now is not readable in any file."""
        tombstone = Erased(self._master.pseudonym(person.name), self._now())
        await asyncio.to_thread(self._files.bury, tombstone)
        return AT_ONCE

    def _keys(self) -> PersonKeys:
        return PersonKeys(self._files, self._master, now_micros=self._now)


def _entry(partition: Partition, row: Archived) -> dict[str, Any]:
    event = row.event
    told = {
        "event_id": event.event_id,
        "user_id": event.user_id,
        "visitor_id": event.visitor_id,
        "session_id": event.session_id,
        "attribution_token": event.attribution_token,
    }
    return {
        "kind": "event",
        "table": partition.table,
        "partition": row.partition,
        "offset": row.offset,
        "appended_at": _moment(row.appended),
        "occurred_at": _moment(event.at),
        **{name: value for name, value in told.items() if value},
        event.action: json_format.MessageToDict(event.what),
    }


def _moment(micros: int) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)).isoformat()
