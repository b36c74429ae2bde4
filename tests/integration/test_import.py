"""Importing a shop's files, as a process, on real Kafka."""

from __future__ import annotations

import asyncio
import itertools
import signal
from collections import Counter
from pathlib import Path

import pytest
from attune.events.v1.shopper_event_pb2 import ShopperEvent
from kafka.partitioner.default import murmur2

from deploy.local.kafka import EmbeddedKafka
from deploy.local.topics import create_topics
from services.shared.event_codec import decode_event
from tests.import_parts import line, made, rejects, rows_done, run, start, view, write_csv
from tests.standing import standing_still
from tests.waiting import eventually
from tests.worker_kafka import records

FOLDER = "import-demo"
ROWS = 50_000


def kept(servers: str, prefix: str) -> Counter[str]:
    """How often each event id is in the topic, as the worker would read it."""
    found = asyncio.run(records(servers, prefix + "shopper-history"))
    return Counter(decode_event(each.key, each.value, each.headers).event_id for each in found)


def ids_of(rows: list[dict[str, str]]) -> set[str]:
    """The ids of the events that rows become."""
    return {one.event.event_id for one in made(rows) if isinstance(one.event, ShopperEvent)}


def test_files_become_events_of_the_topic(
    tmp_path: Path, kafka_servers: str, topic_prefix: str
) -> None:
    """Each row and order is there once, where its key belongs; what is refused is told."""
    rows = [*(view(n) for n in range(40)), line(1, 1), line(1, 2), view(41, action="look")]
    write_csv(tmp_path / "shop.csv", rows)
    told = {"KAFKA_SERVERS": kafka_servers, "TOPIC_PREFIX": topic_prefix}
    status, output, errors = run(
        "--shop", "demo", "--files", "*.csv", folder=tmp_path, settings=told
    )
    assert (status, errors) == (0, "")
    assert kept(kafka_servers, topic_prefix) == Counter(ids_of(rows))
    for each in asyncio.run(records(kafka_servers, topic_prefix + "shopper-history")):
        assert each.partition == (murmur2(each.key) & 0x7FFFFFFF) % 4
    (reject,) = rejects(tmp_path / FOLDER)
    assert (reject["row"], reject["code"]) == (43, "ROW_INVALID")
    assert reject["cells"] == view(41, action="look")
    assert "ROW_INVALID" in output
    again = run("--shop", "demo", "--files", "*.csv", folder=tmp_path, settings=told)
    assert again[0] == 0
    assert kept(kafka_servers, topic_prefix).total() == 41


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_ended_in_the_middle_it_goes_on(
    tmp_path: Path, kafka_servers: str, topic_prefix: str, number: signal.Signals
) -> None:
    """Whatever ends it, the next run brings what is missing, and the rejects stand once."""
    bad = itertools.cycle(["view"] * 99 + ["look"])
    rows = [view(n, action=action) for n, action in zip(range(ROWS), bad, strict=False)]
    path = write_csv(tmp_path / "shop.csv", rows)
    told = {"KAFKA_SERVERS": kafka_servers, "TOPIC_PREFIX": topic_prefix}
    arguments = ("--shop", "demo", "--files", str(path))
    process = start(*arguments, folder=tmp_path, settings=told)
    eventually(lambda: rows_done(tmp_path / FOLDER), within=60)
    process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode == (1 if number == signal.SIGTERM else -number)
    done = rows_done(tmp_path / FOLDER)
    assert 0 < done < ROWS
    status, output, _ = run(*arguments, folder=tmp_path, settings=told)
    assert (status, f"{done:,}" in output) == (0, True)
    found = kept(kafka_servers, topic_prefix)
    assert found.keys() == ids_of(rows)
    assert len(found) == ROWS * 99 // 100
    refused = [reject["row"] for reject in rejects(tmp_path / FOLDER)]
    assert refused == list(range(100, ROWS + 1, 100))


def test_kafka_that_goes_away_for_good(tmp_path: Path, own_kafka: EmbeddedKafka) -> None:
    """It ends with a sentence and status 1, and goes on once Kafka is back."""
    asyncio.run(create_topics(own_kafka.servers))
    rows = [view(n) for n in range(ROWS)]
    path = write_csv(tmp_path / "shop.csv", rows)
    arguments = ("--shop", "demo", "--files", str(path), "--patience", "3")
    told = {"KAFKA_SERVERS": own_kafka.servers}
    process = start(*arguments, folder=tmp_path, settings=told)
    eventually(lambda: rows_done(tmp_path / FOLDER), within=60)
    own_kafka.kill()
    _, errors = process.communicate(timeout=90)
    assert process.returncode == 1
    assert errors.splitlines()[-1].startswith("KAFKA_UNAVAILABLE: ")
    own_kafka.start()
    assert run(*arguments[:4], folder=tmp_path, settings=told)[0] == 0
    assert kept(own_kafka.servers, "").keys() == ids_of(rows)


def test_one_import_at_a_time(tmp_path: Path, kafka_servers: str, topic_prefix: str) -> None:
    """A second one in the same folder is refused."""
    path = write_csv(tmp_path / "shop.csv", [view(n) for n in range(ROWS)])
    told = {"KAFKA_SERVERS": kafka_servers, "TOPIC_PREFIX": topic_prefix}
    arguments = ("--shop", "demo", "--files", str(path))
    process = start(*arguments, folder=tmp_path, settings=told)
    eventually(lambda: rows_done(tmp_path / FOLDER), within=60)
    with standing_still(process.pid):  # so that it does not end before the other has asked
        second = run(*arguments, folder=tmp_path, settings=told)
        process.kill()
    process.communicate(timeout=60)
    assert (second[0], "another import works in" in second[2]) == (2, True)


def test_another_mapping_or_file_is_noticed(
    tmp_path: Path, kafka_servers: str, topic_prefix: str
) -> None:
    """What was imported would be other events: it says so and does nothing."""
    path = write_csv(tmp_path / "shop.csv", [view(1)])
    (tmp_path / "same.toml").write_text("# says nothing\n[time]\nformat = 'iso'\n")
    (tmp_path / "mapping.toml").write_text("[constants]\nsession_id = 's'\n")
    told = {"KAFKA_SERVERS": kafka_servers, "TOPIC_PREFIX": topic_prefix}
    arguments = ("--shop", "demo", "--files", str(path))
    assert run(*arguments, folder=tmp_path, settings=told)[0] == 0
    same = run(*arguments, "--mapping", "same.toml", folder=tmp_path, settings=told)
    assert (same[0], same[2]) == (0, "")
    mapped = run(*arguments, "--mapping", "mapping.toml", folder=tmp_path, settings=told)
    assert (mapped[0], "the mapping has changed" in mapped[2]) == (2, True)
    write_csv(path, [view(2)])
    changed = run(*arguments, folder=tmp_path, settings=told)
    assert (changed[0], "shop.csv has changed since 1 rows" in changed[2]) == (2, True)
    assert kept(kafka_servers, topic_prefix).total() == 1


def test_too_many_refused(tmp_path: Path, kafka_servers: str, topic_prefix: str) -> None:
    """It stops early and says which codes."""
    rows = [view(n, action="look" if n % 10 == 0 else "view") for n in range(20_000)]
    path = write_csv(tmp_path / "shop.csv", rows)
    told = {"KAFKA_SERVERS": kafka_servers, "TOPIC_PREFIX": topic_prefix}
    arguments = ("--shop", "demo", "--files", str(path))
    status, _, errors = run(*arguments, folder=tmp_path, settings=told)
    assert (status, errors.startswith("TOO_MANY_REFUSED: ")) == (2, True)
    assert kept(kafka_servers, topic_prefix).total() < 10_000
    assert run(*arguments, "--max-refused-share", "0.1", folder=tmp_path, settings=told)[0] == 0
    assert kept(kafka_servers, topic_prefix).keys() == ids_of(rows)


def test_a_dry_run_needs_nothing_and_writes_nothing(tmp_path: Path) -> None:
    """It says what would become of the rows."""
    path = write_csv(tmp_path / "shop.csv", [view(1), line(1), line(1), view(2, product_id="")])
    status, output, errors = run(
        "--shop", "demo", "--files", path.name, "--dry-run", folder=tmp_path
    )
    assert (status, errors) == (0, "")
    assert "shop.csv, row 4: EVENT_INVALID: view.product_id" in output
    assert list(tmp_path.iterdir()) == [path]


def test_what_stops_the_start_is_said_in_one_sentence(tmp_path: Path) -> None:
    """Settings, files, columns, mapping."""
    path = write_csv(tmp_path / "shop.csv", [view(1)])
    (tmp_path / "mapping.toml").write_text("[columns]\nuser = 'customer'\n")
    shop, files = ("--shop", "demo"), ("--files", path.name)
    for arguments, said in (
        ((*shop, *files), "ATTUNE_IMPORT_KAFKA_SERVERS is missing"),
        ((*shop, "--files", "none.csv", "--dry-run"), "none.csv: there is no such file"),
        ((*shop, *files, "--mapping", "mapping.toml", "--dry-run"), "unknown name 'user'"),
        (("--shop", "Demo", *files), "lower-case letters, digits and dashes"),
    ):
        status, _, errors = run(*arguments, folder=tmp_path)
        assert (status, said in errors) == (2, True), errors
