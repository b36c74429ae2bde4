"""The archive as a process beside a real Kafka: its settings, and what must be in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from attune.events.v1.shopper_event_pb2 import ShopperEvent
from google.protobuf import json_format

from deploy.local.services import EmbeddedService, archive
from services.shared.archive_keys import KeyFiles, PersonKeys
from services.shared.archive_reader import ArchiveReader
from services.shared.archive_storage import open_storage
from services.shared.event import Event
from services.shared.event_protobuf import event_of
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
        if not any(self.root.glob("*/day=*/*/*.parquet")):
            return Counter(), Counter()
        return places_by_duckdb(self.root), places_by_polars(self.root)

    async def sent(self, table: str = TABLE) -> dict[tuple[int, int], Event]:
        """What the topic holds, by partition and offset."""
        return {
            (record.partition, record.offset): as_sent(record.value)
            for record in await records(self.servers, self.prefix + table)
        }


def as_sent(value: bytes) -> Event:
    """The event of a record in JSON, by Protobuf's own reader."""
    return event_of(json_format.Parse(value, ShopperEvent()))
