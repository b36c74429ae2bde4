"""Kafka goes away, stands still and comes back while events are written; the server is stopped."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc

from deploy.local.kafka import EmbeddedKafka
from deploy.local.services import EmbeddedService, events_server, is_serving
from deploy.local.topics import create_topics
from services.shared.event_codec import decode_event
from tests.stack import run_events_server, started
from tests.standing import standing_still
from tests.waiting import eventually
from tests.worker_kafka import records
from tests.write_parts import Door, large, positions, refused, shop_and_key, viewed

SECONDS = 60.0


def settings(folder: Path, kafka: EmbeddedKafka, **more: str) -> dict[str, str]:
    """A server with one key, which lies in ``folder``."""
    (folder / "key").write_text(shop_and_key(folder)[1])
    return {
        "KAFKA_SERVERS": kafka.servers,
        "API_KEYS_FILE": str(folder / "keys.json"),
        **more,
    }


@contextmanager
def door(folder: Path, kafka: EmbeddedKafka, **more: str) -> Iterator[tuple[Door, EmbeddedService]]:
    """A server that is ready, and its client."""
    asyncio.run(create_topics(kafka.servers))
    with run_events_server(settings(folder, kafka, **more), folder / "log") as service:
        client = Door(service.address, (folder / "key").read_text())
        yield client, service
        client.channel.close()


def event_ids(kafka: EmbeddedKafka) -> Counter[str]:
    """How often each event is in the topic."""
    found = asyncio.run(records(kafka.servers, "shopper-events"))
    return Counter(decode_event(each.key, each.value, each.headers).event_id for each in found)


def test_kafka_is_killed_while_events_are_written(tmp_path: Path, own_kafka: EmbeddedKafka) -> None:
    """Every call is answered within its deadline; what was acknowledged is there afterwards."""
    acknowledged: set[str] = set()
    with door(tmp_path, own_kafka) as (client, service):
        for number in range(20):
            positions(client.write(viewed(f"before-{number}")))
            acknowledged.add(f"ebefore-{number}")
        calls = [client.start(viewed(f"during-{n}"), within=3) for n in range(20)]
        own_kafka.kill()
        for number, call in enumerate(calls):
            if call.exception() is None:
                acknowledged.add(f"eduring-{number}")
            else:
                assert refused(call.result)[:2] == (
                    grpc.StatusCode.UNAVAILABLE,
                    "KAFKA_UNAVAILABLE",
                )
        error = refused(lambda: client.write(viewed("away"), within=2))
        assert (error.status, error.reason) == (grpc.StatusCode.UNAVAILABLE, "KAFKA_UNAVAILABLE")
        assert error.retry_seconds > 0
        assert is_serving(service.address)
        own_kafka.start()

        def is_back() -> bool:
            call = client.start(viewed("away"), within=5)
            return call.exception() is None

        eventually(is_back, within=SECONDS)
        again = client.write(*[viewed(f"during-{n}") for n in range(20)])
        assert len(positions(again)) == 20
    kept = event_ids(own_kafka)
    assert kept.keys() >= acknowledged | {"eaway"} | {f"eduring-{n}" for n in range(20)}
    assert all(kept[f"ebefore-{number}"] == 1 for number in range(20))


def test_a_server_that_starts_before_kafka(tmp_path: Path, own_kafka: EmbeddedKafka) -> None:
    """It says why it is not ready, refuses with a delay, and is ready once Kafka is."""
    asyncio.run(create_topics(own_kafka.servers))
    own_kafka.stop()
    told = settings(tmp_path, own_kafka)
    with started(events_server(told, tmp_path / "log")) as service:
        eventually(lambda: "trying_again" in (tmp_path / "log").read_text(), within=SECONDS)
        assert not is_serving(service.address)
        client = Door(service.address, (tmp_path / "key").read_text())
        error = refused(lambda: client.write(viewed(1)))
        assert (error.status, error.reason) == (grpc.StatusCode.UNAVAILABLE, "KAFKA_UNAVAILABLE")
        own_kafka.start()
        service.wait_ready()
        assert len(positions(client.write(viewed(1)))) == 1
        client.channel.close()


def test_a_stop_with_calls_in_flight_fails_none(tmp_path: Path, own_kafka: EmbeddedKafka) -> None:
    """After SIGTERM calls that wait for Kafka get their positions, then the process ends."""
    with door(tmp_path, own_kafka, DRAIN_MS="0") as (client, service):
        client.write(viewed("first"))
        with standing_still(own_kafka.process.pid):
            events = [viewed(n) for n in range(10)]
            calls = [client.start(event, within=15) for event in events]
            least = sum(event.ByteSize() for event in events)
            eventually(lambda: service.metric("write_bytes_in_hand") >= least, within=SECONDS)
            service.process.terminate()
            eventually(lambda: not is_serving(service.address), within=SECONDS)
        for call in calls:
            assert len(positions(call.result(timeout=30))) == 1
        assert service.process.wait(timeout=30) == 0
    assert event_ids(own_kafka) == Counter(["efirst", *(f"e{n}" for n in range(10))])


def test_a_stop_while_kafka_stands_still_ends(tmp_path: Path, own_kafka: EmbeddedKafka) -> None:
    """What was not acknowledged is said to be so; the process does not wait for ever."""
    with door(tmp_path, own_kafka, DRAIN_MS="0") as (client, service):
        client.write(viewed("first"))
        with standing_still(own_kafka.process.pid):
            call = client.start(viewed("late"), within=3)
            eventually(lambda: service.metric("write_bytes_in_hand") > 0, within=SECONDS)
            service.process.terminate()
            assert refused(call.result).status is grpc.StatusCode.UNAVAILABLE
            assert service.process.wait(timeout=40) == 0


def test_more_than_the_server_takes(tmp_path: Path, own_kafka: EmbeddedKafka) -> None:
    """While Kafka stands still, calls beyond the bytes in hand are refused at once."""
    with door(tmp_path, own_kafka, BYTES_IN_HAND=str(1 << 20)) as (client, service):
        client.write(viewed("first"))
        with standing_still(own_kafka.process.pid):
            held = client.start(*[large(n) for n in range(17)], within=30)
            eventually(lambda: service.metric("write_bytes_in_hand") > 0, within=SECONDS)
            error = refused(lambda: client.write(large(18), within=2))
            assert (error.status, error.reason) == (
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                "TOO_MANY_BYTES",
            )
            assert error.retry_seconds > 0
        assert len(positions(held.result(timeout=30))) == 17
