"""The events server as a process, on real Kafka."""

from __future__ import annotations

import asyncio
import secrets
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import grpc
import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

from deploy.local.services import EmbeddedService
from deploy.local.topics import create_topics
from services.events.settings import PREFIX
from services.shared.event_codec import decode_event
from services.shared.kafka import describe_topics
from tests.stack import run_events_server
from tests.worker_kafka import records
from tests.write_parts import (
    Door,
    large,
    positions,
    refused,
    shop_and_key,
    viewed,
    without_product,
)


class Running(NamedTuple):
    """A server, one shop's client, and the topic."""

    service: EmbeddedService
    door: Door
    shop_id: str
    topic: str
    folder: Path


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, kafka_servers: str) -> Iterator[Running]:
    """One server for all tests of the module that do no harm."""
    folder = tmp_path_factory.mktemp("events")
    prefix = f"t{secrets.token_hex(3)}."
    asyncio.run(create_topics(kafka_servers, prefix=prefix))
    shop_id, key = shop_and_key(folder)
    (folder / "poor-key").write_text(shop_and_key(folder, ("recommendations.read",))[1])
    told = {
        "KAFKA_SERVERS": kafka_servers,
        "TOPIC_PREFIX": prefix,
        "API_KEYS_FILE": str(folder / "keys.json"),
    }
    with run_events_server(told, folder / "log") as service:
        door = Door(service.address, key)
        yield Running(service, door, shop_id, prefix + "shopper-events", folder)
        door.channel.close()


def kept(running: Running, kafka_servers: str) -> dict[tuple[int, int], str]:
    """The event ids in the topic by partition and offset, as the worker would read them."""
    return {
        (each.partition, each.offset): decode_event(each.key, each.value, each.headers).event_id
        for each in asyncio.run(records(kafka_servers, running.topic))
    }


def test_acknowledged_events_are_where_they_are_said_to_be(
    running: Running, kafka_servers: str
) -> None:
    """Each position names Kafka's id of the topic and the place of that very event."""
    events = [viewed(f"place-{n}", user_id=f"u{n}") for n in range(20)]
    answer = running.door.write(*events)
    found = kept(running, kafka_servers)
    assert [found[place] for place in positions(answer)] == [each.event_id for each in events]
    described = asyncio.run(describe_topics(kafka_servers, [running.topic]))
    assert {each.position.topic_id for each in answer.results} == {
        described[running.topic].topic_id
    }


def test_fifty_callers_at_once(running: Running, kafka_servers: str) -> None:
    """Each is told the places of its own events."""

    def call(caller: int) -> list[tuple[tuple[int, int], str]]:
        events = [viewed(f"at-once-{caller}-{n}", user_id=f"u{n}") for n in range(10)]
        told = positions(running.door.write(*events))
        return list(zip(told, [each.event_id for each in events], strict=True))

    with ThreadPoolExecutor(50) as callers:
        told = [pair for pairs in callers.map(call, range(50)) for pair in pairs]
    found = kept(running, kafka_servers)
    assert len(dict(told)) == 500
    assert dict(told).items() <= found.items()


def test_a_wrong_event_among_right_ones(running: Running) -> None:
    """It is told with its code and field; the others have their positions."""
    answer = running.door.write(viewed("right-1"), without_product(), viewed("right-2"))
    first, wrong, last = answer.results
    assert first.HasField("position")
    assert last.HasField("position")
    assert (wrong.refusal.code, list(wrong.refusal.fields)) == (
        "EVENT_INVALID",
        ["view.product_id"],
    )


def test_only_wrong_events(running: Running) -> None:
    """The call fails, and its details name the fields as a storefront would write them."""
    error = refused(lambda: running.door.write(without_product(), viewed(1, event_id="")))
    assert error[:3] == (
        grpc.StatusCode.INVALID_ARGUMENT,
        "EVENT_INVALID",
        ["events[0].view.product_id", "events[1].event_id"],
    )
    other = refused(lambda: running.door.write(viewed(1, shop_id="another-shop")))
    assert (other.reason, other.fields) == ("EVENT_SHOP_MISMATCH", ["events[0].shop_id"])


def test_a_key_without_the_scope(running: Running) -> None:
    """Reading recommendations does not let one write events."""
    poor = Door(running.service.address, (running.folder / "poor-key").read_text())
    error = refused(lambda: poor.write(viewed(1)))
    poor.channel.close()
    assert error[:2] == (grpc.StatusCode.PERMISSION_DENIED, "SCOPE_MISSING")


def test_limits_of_a_request(running: Running) -> None:
    """None, 501, more than a megabyte and more than four: each is refused, 500 are taken."""
    for events in ([], [viewed(n) for n in range(501)]):
        error = refused(lambda events=events: running.door.write(*events))  # type: ignore[misc]  # a default binds the loop's value
        assert error[:3] == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST", ["events"])
    error = refused(lambda: running.door.write(*[large(n) for n in range(20)]))
    assert error[:2] == (grpc.StatusCode.INVALID_ARGUMENT, "REQUEST_TOO_LARGE")
    error = refused(lambda: running.door.write(*[large(n) for n in range(80)]))
    assert error.status is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert len(running.door.write(*[viewed(n) for n in range(500)]).results) == 500


def test_a_call_without_a_deadline(running: Running) -> None:
    """It gets one, and is answered."""
    assert len(positions(running.door.write(viewed("patient"), within=None))) == 1


def test_reflection_and_metrics(running: Running) -> None:
    """A tool without our protos finds the service; what was written is counted."""
    names = set(ProtoReflectionDescriptorDatabase(running.door.channel).get_services())
    assert names >= {"attune.events.v1.EventService", "grpc.health.v1.Health"}
    before = running.service.metric('write_events_total{outcome="written"}')
    running.door.write(viewed("counted-1"), viewed("counted-2"))
    assert running.service.metric('write_events_total{outcome="written"}') == before + 2
    assert running.service.metric("write_kafka_seconds_count") > 0


def test_the_log_names_nobody(running: Running) -> None:
    """Refusals are logged by count and code."""
    nobody = viewed(1, user_id="someone-private", view={"product_id": ""})
    running.door.write(viewed(2, user_id="someone-private"), nobody)
    refused(lambda: running.door.write(nobody))
    text = (running.folder / "log").read_text()
    assert "events_refused" in text
    assert "call_failed" in text
    assert "someone-private" not in text


def run(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """The command, with settings and nothing else in its environment."""
    path = ":".join(each for each in sys.path if each)
    return subprocess.run(
        [sys.executable, "-m", "services.events", *arguments],
        env={"PYTHONPATH": path, **{PREFIX + name: told for name, told in settings.items()}},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_help_names_every_setting() -> None:
    """``--help`` says what the server does and all it can be told."""
    told = run("--help").stdout
    for name in ("KAFKA_SERVERS", "API_KEYS_FILE", "BYTES_IN_HAND", "PORT", "LOG_LEVEL"):
        assert PREFIX + name in told


def test_what_stops_the_start_is_said_in_one_sentence(tmp_path: Path, kafka_servers: str) -> None:
    """A setting, the keys file, and a topic that keeps a producer's time."""
    keys = tmp_path / "keys.json"
    missing = run(KAFKA_SERVERS=kafka_servers, API_KEYS_FILE=str(keys))
    assert (missing.returncode, "keys.json cannot be read" in missing.stderr) == (2, True)
    shop_and_key(tmp_path)
    unknown = run(KAFKA_SERVERS=kafka_servers, API_KEYS_FILE=str(keys), SPEED="fast")
    assert (unknown.returncode, "ATTUNE_EVENTS_SPEED" in unknown.stderr) == (2, True)

    async def make_topic() -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=kafka_servers)
        await admin.start()
        await admin.create_topics([NewTopic("its-own-time.shopper-events", 1, 1)])
        await admin.close()

    asyncio.run(make_topic())
    told = {"PORT": "0", "METRICS_PORT": "0", "TOPIC_PREFIX": "its-own-time.", "DRAIN_MS": "0"}
    wrong = run(KAFKA_SERVERS=kafka_servers, API_KEYS_FILE=str(keys), **told)
    assert (wrong.returncode, "set LogAppendTime" in wrong.stderr) == (2, True)
