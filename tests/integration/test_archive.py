"""The archive on a real Kafka: what was sent is there once, and says what was sent."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from services.archive.__main__ import main
from tests.archive_kafka import Installation
from tests.profile_events import Event, event, key_of, view
from tests.waiting import eventually
from tests.worker_kafka import now, producer, send


@pytest.fixture
def installed(kafka_servers: str, topic_prefix: str, tmp_path: Path) -> Installation:
    """Topics of the test's own, and an empty folder."""
    return Installation(kafka_servers, topic_prefix, tmp_path)


def every_action() -> list[Event]:
    """Events with all that an event may say."""
    price = {"currencyCode": "EUR", "units": "12", "nanos": 990_000_001}
    lines = [
        {"productId": "mug", "quantity": 2, "unitPrice": price},
        {"productId": "pen", "quantity": 1},
    ]
    actions: list[dict[str, Any]] = [
        {"search": {"query": "blue mug", "filters": {"brand": "Acme"}, "resultCount": 0}},
        {"search": {"query": "mug"}},
        {"view": {"productId": "mug"}},
        {"click": {"productId": "mug"}},
        {"notInterested": {"productId": "mug"}},
        {"addToCart": {"productId": "mug", "quantity": 3}},
        {"removeFromCart": {"productId": "mug", "quantity": 1}},
        {"rating": {"productId": "mug", "stars": 4}},
        {"impression": {"productIds": ["mug", "lamp"]}},
        {"purchase": {"orderId": "o1", "lines": lines}},
        {"cancel": {"orderId": "o1"}},
        {"cancel": {"orderId": "o2", "lines": lines}},
        {"identify": {}},
        {"logout": {}},
    ]
    more = {"visitorId": "v1", "sessionId": "s1", "attributionToken": "t1"}
    return [event(n, at=now(), **more, **one) for n, one in enumerate(actions)]


def send_views(installed: Installation, count: int) -> None:
    """So many views, now."""
    some = [view(number, at=now()) for number in range(count)]
    asyncio.run(send(installed.servers, installed.prefix, some))


def by_patterns(installed: Installation, count: int) -> bool:
    """Whether who reads all files finds so many rows, none of them twice."""
    return all(len(found) == count and set(found.values()) <= {1} for found in installed.patterns())


def test_what_was_sent_is_archived(installed: Installation) -> None:
    """Every action, with all fields, comes back as it was sent; refused ones do not."""
    some = every_action()
    with installed.running() as service:
        asyncio.run(send(installed.servers, installed.prefix, [*some, view(99)]))
        eventually(lambda: by_patterns(installed, len(some) + 1), within=60)
        assert service.stop() == 0
    assert installed.read() == asyncio.run(installed.sent())


def test_a_refused_record_is_passed_over(installed: Installation) -> None:
    """It is counted, the rest is archived, and the archive goes on behind it."""

    async def send_all() -> None:
        async with producer(installed.servers) as to:
            for value in (b"{oops", json.dumps(view(1, at=now())).encode()):
                await to.send_and_wait(
                    installed.prefix + "shopper-events", value, key_of(view(1)), partition=2
                )

    asyncio.run(send_all())
    with installed.running() as service:
        eventually(lambda: by_patterns(installed, 1), within=60)
        assert service.metric('archive_events_total{outcome="EVENT_NOT_JSON"}') == 1
    assert list(installed.read()) == [(2, 1)]


def test_stopped_and_started(installed: Installation) -> None:
    """A stop puts what was gathered into files; the next start goes on behind it."""
    with installed.running(FLUSH_SECONDS="3600") as service:
        asyncio.run(
            send(installed.servers, installed.prefix, [view(n, at=now()) for n in range(50)])
        )
        eventually(lambda: service.metric("archive_gathered_events") == 50, within=60)
        assert not by_patterns(installed, 50)
        assert service.stop() == 0
    assert by_patterns(installed, 50)
    with installed.running() as service:
        asyncio.run(
            send(installed.servers, installed.prefix, [view(n, at=now()) for n in range(20)])
        )
        eventually(lambda: by_patterns(installed, 70), within=60)
    assert installed.read() == asyncio.run(installed.sent())


def test_history_is_a_table_of_its_own(installed: Installation) -> None:
    """Events of any age, apart from the others."""

    async def send_one() -> None:
        async with producer(installed.servers) as to:
            one = view(1)
            await to.send_and_wait(
                installed.prefix + "shopper-history", json.dumps(one).encode(), key_of(one)
            )

    asyncio.run(send_one())
    with installed.running():
        eventually(lambda: installed.read("shopper-history"), within=60)
    assert installed.read() == {}


def test_compacted_beside_the_archive(
    installed: Installation, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command makes one file of a day's, while the archive goes on."""
    for name, value in installed.settings().items():
        monkeypatch.setenv(f"ATTUNE_ARCHIVE_{name}", value)
    with installed.running():
        for start in range(0, 60, 20):
            send_views(installed, 20)
            eventually(lambda start=start: by_patterns(installed, start + 20), within=60)  # type: ignore[misc]  # mypy does not see the default
        assert main(["compact", "--day", now().strftime("%Y-%m-%d")]) == 0
        assert "shopper-events: 3 files → 1, 60 rows" in capsys.readouterr().out
        send_views(installed, 1)
        eventually(lambda: by_patterns(installed, 61), within=60)
    assert installed.read() == asyncio.run(installed.sent())
