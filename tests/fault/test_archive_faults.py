"""Whatever is killed or stands still: each event is in the archive once, and as it was sent."""

from __future__ import annotations

import asyncio
import contextlib
import random
import subprocess
from collections import Counter
from contextlib import nullcontext
from pathlib import Path

import pytest

from deploy.local.kafka import EmbeddedKafka
from deploy.local.services import archive, is_serving
from deploy.local.topics import create_topics
from tests.archive_kafka import Installation
from tests.archive_parts import TABLE
from tests.fault.test_profiles_topics import make_anew
from tests.profile_events import view
from tests.stack import started
from tests.standing import standing_still
from tests.waiting import eventually
from tests.worker_kafka import now, send

SEEDS = (7, 11)
KILLS = 6
EVENTS = 400
SECONDS = 90.0


@pytest.fixture
def installed(kafka_servers: str, topic_prefix: str, tmp_path: Path) -> Installation:
    """Topics of the test's own, and an empty folder."""
    return Installation(kafka_servers, topic_prefix, tmp_path)


def send_views(installed: Installation, start: int, count: int = EVENTS) -> None:
    """So many views of as many shoppers as there are hundreds, now."""
    some = [view(n, user=f"u{n % 97}", at=now()) for n in range(start, start + count)]
    asyncio.run(send(installed.servers, installed.prefix, some))


def never_twice(installed: Installation) -> bool:
    """Whether who reads all files finds nothing twice at this moment."""
    return all(set(found.values()) <= {1} for found in installed.patterns())


def has(installed: Installation, count: int) -> bool:
    """Whether who reads all files finds so many, each once."""
    return all(len(found) == count and set(found.values()) == {1} for found in installed.patterns())


def must_be_right(installed: Installation) -> None:
    """DuckDB, polars and the reader find each event once, and it says what was sent."""
    sent = asyncio.run(installed.sent())
    assert has(installed, len(sent))
    assert installed.read() == sent


@pytest.mark.parametrize("seed", SEEDS)
def test_killed_at_random_moments(installed: Installation, seed: int) -> None:
    """Six times in the midst of writing; then one comes to the end."""
    chance = random.Random(seed)
    for life in range(KILLS):
        send_views(installed, life * EVENTS)
        told = installed.settings(FLUSH_EVENTS="40", INSTANCE_ID="one")
        with started(archive(told, installed.folder / f"{life}.log")) as service:
            log = installed.folder / f"{life}.log"
            eventually(lambda log=log: "claimed" in log.read_text(), within=SECONDS)  # type: ignore[misc]  # mypy does not see the default
            with contextlib.suppress(subprocess.TimeoutExpired):
                service.process.wait(chance.uniform(0.0, 0.4))
            service.kill()
        assert never_twice(installed), f"seed {seed}, life {life}"
    with installed.running("last", FLUSH_EVENTS="40", INSTANCE_ID="one"):
        eventually(lambda: has(installed, KILLS * EVENTS), within=SECONDS)
    must_be_right(installed)


def test_two_processes_and_one_that_stands_still(installed: Installation) -> None:
    """The other takes its partitions; when it comes to itself it adds nothing, and goes on."""
    quick = {"FLUSH_EVENTS": "40", "SESSION_TIMEOUT_SECONDS": "6"}
    with installed.running("one", **quick) as one, installed.running("two", **quick) as other:
        send_views(installed, 0)
        eventually(lambda: has(installed, EVENTS), within=SECONDS)
        with standing_still(one.process.pid):
            send_views(installed, EVENTS)
            eventually(lambda: has(installed, 2 * EVENTS), within=SECONDS)
        send_views(installed, 2 * EVENTS)
        eventually(lambda: has(installed, 3 * EVENTS), within=SECONDS)
        assert other.stop() == 0
        send_views(installed, 3 * EVENTS)
        eventually(lambda: has(installed, 4 * EVENTS), within=SECONDS)
        assert one.stop() == 0
    must_be_right(installed)


def test_storage_that_is_away(installed: Installation) -> None:
    """It says so, is not ready, waits, and then goes on where it was."""
    away = installed.folder / "away"
    with installed.running() as service:
        send_views(installed, 0)
        eventually(lambda: has(installed, EVENTS), within=SECONDS)
        installed.root.rename(away)
        installed.root.write_bytes(b"")  # a file: no folder can be made there
        send_views(installed, EVENTS)
        eventually(lambda: not is_serving(service.address), within=SECONDS)
        assert "STORAGE_UNAVAILABLE" in service.log_path.read_text()
        installed.root.unlink()
        away.rename(installed.root)
        eventually(lambda: has(installed, 2 * EVENTS), within=SECONDS)
        eventually(lambda: is_serving(service.address), within=SECONDS)
    must_be_right(installed)


def test_kafka_that_is_killed(own_kafka: EmbeddedKafka, tmp_path: Path) -> None:
    """The archive waits, and goes on when it is back."""
    asyncio.run(create_topics(own_kafka.servers))
    installed = Installation(own_kafka.servers, "", tmp_path)
    with installed.running() as service:
        send_views(installed, 0)
        eventually(lambda: has(installed, EVENTS), within=SECONDS)
        own_kafka.kill()
        assert service.process.poll() is None
        own_kafka.start()
        send_views(installed, EVENTS)
        eventually(lambda: has(installed, 2 * EVENTS), within=SECONDS)
        assert service.stop() == 0
    must_be_right(installed)


def archived(installed: Installation) -> dict[str, int]:
    """How many events there are of each topic that the table ever had."""
    found: Counter[str] = Counter()
    reader = installed.reader()
    for partition in reader.partitions(TABLE):
        found[partition.topic_id] += sum(1 for _ in reader.read(partition))
    return dict(found)


@pytest.mark.parametrize("sleeping", [False, True])
def test_a_topic_that_is_made_anew(
    own_kafka: EmbeddedKafka, tmp_path: Path, sleeping: bool
) -> None:
    """Offsets begin again, behind where the archive was or, as it slept, beyond: all is kept."""
    asyncio.run(create_topics(own_kafka.servers))
    installed = Installation(own_kafka.servers, "", tmp_path)
    with installed.running() as service:
        send_views(installed, 0)
        eventually(lambda: has(installed, EVENTS), within=SECONDS)
        with standing_still(service.process.pid) if sleeping else nullcontext():
            asyncio.run(make_anew(installed.servers))
            if sleeping:
                send_views(installed, EVENTS, 2 * EVENTS)
        if not sleeping:
            send_views(installed, EVENTS, EVENTS // 2)
        new = 2 * EVENTS if sleeping else EVENTS // 2
        eventually(lambda: sorted(archived(installed).values()) == sorted([EVENTS, new]), within=90)
        assert never_twice(installed)
        assert service.stop() == 0


def test_told_to_end_while_storage_is_away(installed: Installation) -> None:
    """It ends all the same; what was gathered is read again at the next start."""
    with installed.running(FLUSH_SECONDS="3600") as service:
        send_views(installed, 0)
        eventually(lambda: service.metric("archive_gathered_events") == EVENTS, within=SECONDS)
        (installed.root).rename(installed.folder / "away")
        installed.root.write_bytes(b"")
        assert service.stop() == 0
        assert "not_all_archived" in service.log_path.read_text()
    installed.root.unlink()
    (installed.folder / "away").rename(installed.root)
    with installed.running("again"):
        eventually(lambda: has(installed, EVENTS), within=SECONDS)
    must_be_right(installed)
