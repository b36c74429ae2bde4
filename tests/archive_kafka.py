"""The archive as a process beside a real Kafka: its settings, and what must be in it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from deploy.local.services import EmbeddedService, archive
from services.shared.archive_keys import KeyFiles, PersonKeys
from services.shared.archive_reader import ArchiveReader
from services.shared.archive_storage import open_storage
from services.shared.event import Event
from services.shared.event_codec import decode_event
from services.shared.sealing import new_master_key, read_master_key
from tests.archive_parts import TABLE, Place, places_by_duckdb, places_by_polars
from tests.stack import started
from tests.worker_kafka import records


class Installation(NamedTuple):
    """A Kafka's topics and a folder for their archive."""

    servers: str
    prefix: str
    folder: Path

    @property
    def root(self) -> Path:
        """Where the archive lies."""
        return self.folder / "archive"

    def settings(self, **more: str) -> dict[str, str]:
        """Those of a process; without its own name in the group."""
        key = self.folder / "master-key"
        if not key.exists():
            new_master_key(key)
        return {
            "KAFKA_SERVERS": self.servers,
            "TOPIC_PREFIX": self.prefix,
            "GROUP": self.prefix + "archive",
            "ROOT": str(self.root),
            "MASTER_KEY_FILE": str(key),
            "FLUSH_SECONDS": "1",
            **more,
        }

    @contextmanager
    def running(self, name: str = "archive", **more: str) -> Iterator[EmbeddedService]:
        """A process that is ready."""
        service = archive(self.settings(**more), self.folder / f"{name}.log")
        with started(service):
            service.wait_ready()
            yield service

    def reader(self) -> ArchiveReader:
        """What reads the archive the documented way."""
        storage = open_storage(str(self.root))
        master = read_master_key(self.folder / "master-key")
        return ArchiveReader(storage, PersonKeys(KeyFiles(storage), master, now_micros=lambda: 0))

    def read(self, table: str = TABLE) -> dict[tuple[int, int], Event]:
        """The events by partition and offset; fails where one comes twice."""
        found: dict[tuple[int, int], Event] = {}
        reader = self.reader()
        for partition in reader.partitions(table):
            for row in reader.read(partition):
                place = (row.partition, row.offset)
                assert place not in found, f"{place} twice"
                found[place] = row.event
        return found

    def patterns(self) -> tuple[Counter[Place], Counter[Place]]:
        """How often each place is found by who reads all Parquet files: DuckDB, polars."""
        return places_by_duckdb(self.root), places_by_polars(self.root)

    async def sent(self, table: str = TABLE) -> dict[tuple[int, int], Event]:
        """What the topic holds, by partition and offset."""
        return {
            (record.partition, record.offset): decode_event(
                record.key, record.value, record.headers
            )
            for record in await records(self.servers, self.prefix + table)
        }


def same(one: Event, other: Event) -> bool:
    """Whether two events say the same, however they were written."""
    return one[:6] == other[:6] and one[7:] == other[7:] and plain(one.what) == plain(other.what)


def plain(what: Any) -> Mapping[str, Any]:
    """An action's fields; those with their default are left out."""
    import msgspec
    from google.protobuf.json_format import MessageToDict

    if hasattr(what, "DESCRIPTOR"):
        return MessageToDict(what)
    return json.loads(msgspec.json.encode(what))


def same_events(one: Mapping[Any, Event], other: Mapping[Any, Event]) -> bool:
    """Whether both have the same events at the same places."""
    return one.keys() == other.keys() and all(same(one[at], other[at]) for at in one)
