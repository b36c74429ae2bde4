"""How many events a second one core archives: ``make bench-archive``.

The whole job without Kafka's own: records as they are fetched, decoded and checked, sealed,
written as files, on disk, counting. A core is a second of processor time of all threads.
``known``: the shoppers have keys that were used before; ``new``: every event is another
shopper's, and each key is made, wrapped and put. ``from Kafka`` measures the process itself, on
a topic that is full.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

import psutil
from aiokafka import AIOKafkaProducer
from attune.events.v1.shopper_event_pb2 import ShopperEvent
from google.protobuf import json_format
from rich.progress import track

from deploy.local.kafka import EmbeddedKafka
from deploy.local.services import EmbeddedService, archive
from deploy.local.topics import create_topics
from services.archive.domain.gathering import Gathered
from services.archive.domain.tables import event_row
from services.archive.writing import Writer
from services.shared.archive_log import Partition
from services.shared.archive_reader import ArchiveReader
from services.shared.archive_storage import open_storage
from services.shared.garbage import collect_seldom
from services.shared.sealing import new_master_key
from tests.archive_parts import MASTER, keys_of
from tests.bench.report import Row, publish
from tests.profile_events import Event, FakeRecord, event, key_of
from tests.waiting import eventually

GATE: Final = 50_000
PER_CORE: Final = "events/s a core"
KNOWN: Final = 20_000
FLUSH: Final = 50_000
PARTITION: Final = Partition("shopper-events", "bench", 0)
PROTOBUF: Final = (("content-type", b"application/protobuf"),)

Case = tuple[str, str]
"""``JSON`` or ``Protobuf``, and ``known`` or ``new``."""

CASES: Final[Sequence[Case]] = tuple(
    (form, shoppers) for form in ("JSON", "Protobuf") for shoppers in ("known", "new")
)


class Rates(NamedTuple):
    """Events for each second of processor time."""

    written: float
    read: float
    bytes_each: float


def usual(number: int, user: str, at: datetime) -> Event:
    """What shoppers do, in about its usual shares: 1 in 20 buys or searches."""
    product = f"product-{number * 7919 % 20_011}"
    more: dict[str, Any] = {"sessionId": f"s-{number // 9}", "visitorId": f"v-{user}"}
    if number % 20 == 0:
        line = {"productId": product, "quantity": 1}
        more |= {"purchase": {"orderId": f"o-{number}", "lines": [line, line]}}
    elif number % 20 == 1:
        more |= {"search": {"query": f"blue mug {number % 500}", "resultCount": 12}}
    elif number % 20 < 4:
        more |= {"addToCart": {"productId": product, "quantity": 1}}
    else:
        more |= {"view": {"productId": product}}
    return event(number, user=user, at=at, **more)


def records(form: str, shoppers: str, count: int, start: int) -> list[FakeRecord]:
    """So many records, as they come from Kafka."""
    at = datetime.now(UTC)
    made = []
    for number in range(start, start + count):
        user = f"user-{number % KNOWN if shoppers == 'known' else number}"
        one = usual(number, user, at)
        value = json.dumps(one, separators=(",", ":")).encode()
        headers: tuple[tuple[str, bytes | None], ...] = ()
        if form == "Protobuf":
            value = json_format.Parse(value, ShopperEvent()).SerializeToString()
            headers = PROTOBUF
        made.append(FakeRecord(key_of(one), value, number, int(at.timestamp() * 1000), headers))
    return made


def flushes(form: str, shoppers: str, count: int) -> Iterator[list[FakeRecord]]:
    """What each flush takes; the first one makes the keys of who is known."""
    for start in range(0, count + FLUSH, FLUSH):
        yield records(form, shoppers, FLUSH, start)


def measure(case: Case, count: int) -> Rates:
    """One run on a new archive; the first flush is not counted."""
    with tempfile.TemporaryDirectory() as folder:
        storage = open_storage(folder)
        writer = Writer(storage, MASTER)
        log = writer.claim(PARTITION, 0)
        seconds = 0.0
        for number, batch in enumerate(flushes(*case, count)):
            begun = time.process_time()
            told = Gathered(log.next)
            for record in batch:
                told.rows.append(event_row(record))
                told.passed(record.offset, len(record.value or b""), 0.0)
            (staged,) = writer.stage([(log, told)])
            log.archive(staged.next, staged.files)
            log.settle(staged.files)
            seconds += (time.process_time() - begun) if number else 0.0
        begun = time.process_time()
        rows = sum(1 for _ in ArchiveReader(storage, keys_of(storage)).read(PARTITION))
        read = rows / (time.process_time() - begun)
        size = sum(path.stat().st_size for path in Path(folder).rglob("*.parquet"))
        return Rates(count / seconds, read, size / rows)


def from_kafka(count: int) -> float:
    """Events for each second of the process' processor time, from a topic that is full."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        kafka = EmbeddedKafka(folder / "kafka")
        kafka.start()
        asyncio.run(create_topics(kafka.servers))
        new_master_key(folder / "key")
        told = {
            "KAFKA_SERVERS": kafka.servers,
            "ROOT": str(folder / "archive"),
            "MASTER_KEY_FILE": str(folder / "key"),
            "FLUSH_SECONDS": "2",
            "SESSION_TIMEOUT_SECONDS": "300",
        }
        service = archive(told, folder / "log")
        service.start()
        try:
            service.wait_ready()
            return drained(service, kafka.servers, count)
        finally:
            service.kill()
            kafka.kill()


class Looks:
    """Tells when to look again: metrics cost the process that is measured."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def is_time(self) -> bool:
        """Twice a second."""
        now = time.monotonic()
        if now - self._last < 0.5:
            return False
        self._last = now
        return True


def drained(service: EmbeddedService, servers: str, count: int) -> float:
    """Fill the topic while the process stands still, then let it come to the end."""
    os.kill(service.process.pid, signal.SIGSTOP)
    asyncio.run(fill(servers, count))
    process = psutil.Process(service.process.pid)
    before = sum(process.cpu_times()[:2])
    os.kill(service.process.pid, signal.SIGCONT)
    looks = Looks()
    eventually(
        lambda: (
            looks.is_time()
            and service.metric("archive_events_total") >= count
            and service.metric("archive_gathered_events") == 0
        ),
        within=300,
    )
    return count / (sum(process.cpu_times()[:2]) - before)


async def fill(servers: str, count: int) -> None:
    """Send so many events of known shoppers, as JSON."""
    async with AIOKafkaProducer(
        bootstrap_servers=servers, linger_ms=20, max_batch_size=1 << 18
    ) as producer:
        for record in records("JSON", "known", count, 0):
            await producer.send("shopper-events", record.value, key=record.key)


def row(measure: str, values: Sequence[float], unit: str, gate: float | None = None) -> Row:
    """The median of the runs."""
    return Row(measure, statistics.median(values), unit, (min(values), max(values)), gate)


def main() -> None:
    """Measure, and publish."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.archive", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short run, coarser")
    quick = parser.parse_args().quick
    collect_seldom()
    runs, count = (1, FLUSH) if quick else (5, 4 * FLUSH)
    rows = []
    for case in track(CASES, "archive"):
        rates = [measure(case, count) for _ in range(runs)]
        name = f"{case[0]}, shoppers {case[1]}"
        gate = GATE if case[1] == "known" else None
        rows.append(row(f"{name}: archived", [each.written for each in rates], PER_CORE, gate))
        rows.append(row(f"{name}: read back", [each.read for each in rates], PER_CORE))
        rows.append(row(f"{name}: on disk", [each.bytes_each for each in rates], "bytes an event"))
    whole = [from_kafka(count) for _ in range(runs)]
    rows.append(row("JSON, shoppers known, keys new: from Kafka", whole, PER_CORE, GATE))
    publish("archive", rows)


if __name__ == "__main__":
    main()
