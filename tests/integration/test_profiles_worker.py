"""The worker as a process between real Kafka and real Redis."""

from __future__ import annotations

import hashlib
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import MessageSizeTooLargeError, RecordTooLargeError
from attune.events.v1.shopper_event_pb2 import ShopperEvent
from google.protobuf import json_format

from deploy.local.services import MASTER_KEY, profiles_worker
from services.shared.dead_letter import DeadLetter
from services.shared.letter_envelope import Opened
from services.shared.letter_keys import RedisLetterKeys
from services.shared.profile import EMPTY
from services.shared.redis_connection import RedisConnection
from services.shared.sealed_letters import SealedLetters
from services.shared.sealing import read_master_key
from services.shared.subject import event_key, profile_redis_key
from tests.profile_events import Event, event, key_of, view
from tests.profile_oracle import trend_counts
from tests.stack import run_worker, started
from tests.waiting import eventually_async
from tests.worker_kafka import (
    appended,
    committed,
    group_of,
    now,
    producer,
    profiles,
    profiles_as_the_oracle_says,
    records,
    send,
    trend_counts_kept,
    until_committed,
    write_untextual,
)

PROTOBUF = [("content-type", b"application/protobuf")]

Wrong = tuple[str, bytes | None, list[tuple[str, bytes]]]
"""Error code, value and headers of a record."""


@pytest.fixture
def told(kafka_servers: str, redis_url: str, topic_prefix: str) -> dict[str, str]:
    """A worker's settings."""
    return {
        "KAFKA_SERVERS": kafka_servers,
        "REDIS_URL": redis_url,
        "TOPIC_PREFIX": topic_prefix,
        "GROUP": group_of(topic_prefix),
    }


async def test_events_become_profiles_and_trends(
    told: dict[str, str], topic_prefix: str, shop_id: str, tmp_path: Path
) -> None:
    """JSON and Protobuf, users and visitors, before and while the worker runs: all are folded."""
    line = {"productId": "mug", "quantity": 2, "unitPrice": {"currencyCode": "USD", "units": "3"}}
    some: list[Event] = [
        {**view(i, f"p{i % 3}", at=now(), user=f"u{i % 5}"), "shopId": shop_id} for i in range(40)
    ]
    buys = {**event("b", at=now(), purchase={"orderId": "o", "lines": [line]}), "shopId": shop_id}
    looks = {**view("v", at=now(), user="", visitorId="v1"), "shopId": shop_id}
    await send(told["KAFKA_SERVERS"], topic_prefix, some)
    with run_worker(told, tmp_path / "worker.log") as worker:
        message = json_format.Parse(json.dumps(buys), ShopperEvent())
        async with producer(told["KAFKA_SERVERS"]) as to:
            topic = topic_prefix + "shopper-events"
            value = message.SerializeToString()
            await to.send_and_wait(topic, value, key_of(buys), headers=PROTOBUF)
            await to.send_and_wait(topic, json.dumps(looks).encode(), key_of(looks))
        await until_committed(told["KAFKA_SERVERS"], topic_prefix, 42)
        accepted = 'events_total{outcome="accepted"}'
        assert worker.metric(accepted) == 42
    assert await profiles_as_the_oracle_says(told["REDIS_URL"], [*some, buys])
    ((seen,),) = [await profiles(told["REDIS_URL"], [(shop_id, "v:v1")])]
    assert [touch.product_id for touch in seen.views] == ["mug"]
    counted = trend_counts(appended([*some, buys, looks]), shop_id=shop_id)
    assert await trend_counts_kept(told["REDIS_URL"], shop_id) == counted


def wrong_inputs(shop_id: str, good: Event) -> list[Wrong]:
    """One record of each kind of bad input; the last is ``good``, to be sent with another key."""
    mine = {"shopId": shop_id}
    no_time = {**view("t"), **mine}
    del no_time["occurredAt"]
    wrong: list[Wrong] = [
        ("EVENT_NOT_JSON", b"not json", [("trace", b"abc")]),
        ("EVENT_NOT_PROTOBUF", b"\x0f\xff", PROTOBUF),
        ("CONTENT_TYPE_UNKNOWN", b"<a/>", [("content-type", b"text/xml")]),
        ("EVENT_INVALID", None, []),
    ]
    limits = [
        ("EVENT_INVALID", {**view("x", at=now()), **mine, "eventId": ""}),
        ("EVENT_INVALID", {**view("x", at=now()), **mine, "userId": ""}),
        ("EVENT_INVALID", no_time),
        ("EVENT_FROM_FUTURE", {**view("x", at=now() + timedelta(minutes=10)), **mine}),
        ("EVENT_TOO_OLD", {**view("x", at=now() - timedelta(days=8)), **mine}),
        (
            "EVENT_INVALID",
            {**event("x", at=now(), addToCart={"productId": "mug", "quantity": 0}), **mine},
        ),
        ("EVENT_TOO_LARGE", {**view("x", "m" * 900_000, at=now()), **mine}),
        ("EVENT_KEY_MISMATCH", {**view("x", at=now(), user="bob"), **mine}),
    ]
    wrong += [(code, json.dumps(one).encode(), []) for code, one in limits]
    wrong.append(("EVENT_KEY_MISMATCH", json.dumps(good).encode(), []))
    return wrong


async def test_bad_input_goes_to_dead_letters(
    told: dict[str, str], topic_prefix: str, shop_id: str, tmp_path: Path
) -> None:
    """Each kind of bad record between good ones has its dead letter; the good ones are folded."""
    good = [{**view(i, at=now()), "shopId": shop_id} for i in range(2)]
    wrong = wrong_inputs(shop_id, good[0])
    key, vast_key = key_of(good[0]), b"k" * 900_000
    with run_worker(told, tmp_path / "worker.log") as worker:
        async with producer(told["KAFKA_SERVERS"]) as to:
            topic = topic_prefix + "shopper-events"
            first = await to.send_and_wait(topic, json.dumps(good[0]).encode(), key)
            for _, value, headers in wrong[:-1]:
                await to.send_and_wait(topic, value, key, headers=headers)
            await to.send_and_wait(topic, wrong[-1][1], vast_key, partition=first.partition)
            await to.send_and_wait(topic, json.dumps(good[1]).encode(), key)
        await until_committed(told["KAFKA_SERVERS"], topic_prefix, len(wrong) + 2)
        assert worker.metric("events_total") == len(wrong) + 2
    assert await profiles_as_the_oracle_says(told["REDIS_URL"], good)
    found = await records(told["KAFKA_SERVERS"], topic_prefix + "dead-letters")
    assert not [one for one in found if b"ana" in one.key + one.value]
    letters = await opened(told["REDIS_URL"], tmp_path / MASTER_KEY, found)
    assert {letter.content.key for letter in letters} == {key, vast_key[:4096]}
    for (address, content), (code, value, headers) in zip(letters, wrong, strict=True):
        assert address.code == code
        assert content.value == (value or b"")[:65_536]
        assert content.sha256 == hashlib.sha256(value or b"").digest()
        assert address.origin.topic == topic_prefix + "shopper-events"
        assert len(address.origin.topic_id) == 36
        assert set(headers) <= set(content.headers)


async def opened(url: str, master_key: Path, found: list[Any]) -> list[Opened]:
    """What is in dead letters, by the offsets of their records."""
    redis, master = RedisConnection(url), read_master_key(master_key)
    letters = SealedLetters(master, RedisLetterKeys(redis, master))
    read = await letters.open([DeadLetter(one.key, one.value, list(one.headers)) for one in found])
    await redis.close()
    known = [one for one in read if isinstance(one, Opened)]
    assert len(known) == len(found)
    return sorted(known, key=lambda one: one.address.origin.offset)


async def test_a_header_name_that_is_no_text(
    told: dict[str, str], topic_prefix: str, shop_id: str, tmp_path: Path
) -> None:
    """The event is folded, and so are those around it."""
    some = [{**view(i, at=now()), "shopId": shop_id} for i in range(3)]
    with run_worker(told, tmp_path / "worker.log"):
        for one in some:
            value = json.dumps(one).encode()
            topic = topic_prefix + "shopper-events"
            write_untextual(told["KAFKA_SERVERS"], topic, key_of(one), value)
        await until_committed(told["KAFKA_SERVERS"], topic_prefix, 3)
    assert await profiles_as_the_oracle_says(told["REDIS_URL"], some)


async def test_an_event_over_the_brokers_limit(
    told: dict[str, str], topic_prefix: str, shop_id: str, tmp_path: Path
) -> None:
    """Its producer gets a clear error; the events around it are folded as ever."""
    good = [{**view(i, at=now()), "shopId": shop_id} for i in range(2)]
    with run_worker(told, tmp_path / "worker.log"):
        await send(told["KAFKA_SERVERS"], topic_prefix, good[:1])
        async with producer(told["KAFKA_SERVERS"]) as to:
            with pytest.raises((MessageSizeTooLargeError, RecordTooLargeError)):
                await to.send_and_wait(
                    topic_prefix + "shopper-events", b"x" * (2 * 2**20), key_of(good[0])
                )
        await send(told["KAFKA_SERVERS"], topic_prefix, good[1:])
        await until_committed(told["KAFKA_SERVERS"], topic_prefix, 2)
    assert await profiles_as_the_oracle_says(told["REDIS_URL"], good)
    assert await records(told["KAFKA_SERVERS"], topic_prefix + "dead-letters") == []


async def test_an_event_about_an_unknown_product(
    told: dict[str, str], topic_prefix: str, shop_id: str, tmp_path: Path
) -> None:
    """It is kept: the catalogue, here an empty one, may come later."""
    some = [{**view(1, "no-such-product", at=now()), "shopId": shop_id}]
    with run_worker(told, tmp_path / "worker.log"):
        await send(told["KAFKA_SERVERS"], topic_prefix, some)
        await until_committed(told["KAFKA_SERVERS"], topic_prefix, 1)
    assert await profiles_as_the_oracle_says(told["REDIS_URL"], some)


async def test_two_workers_share_and_hand_over(
    told: dict[str, str], topic_prefix: str, shop_id: str, tmp_path: Path
) -> None:
    """A second worker joins while events flow and the first one leaves: nothing is missing."""
    some = [
        {**view(i, f"p{i % 7}", at=now(), user=f"u{i % 50}"), "shopId": shop_id}
        for i in range(3000)
    ]
    servers = told["KAFKA_SERVERS"]
    with run_worker(told, tmp_path / "one.log") as one:
        await send(servers, topic_prefix, some[:1000])
        with run_worker(told, tmp_path / "two.log") as two:
            await send(servers, topic_prefix, some[1000:2000])

            async def both_worked() -> bool:
                return all(w.metric("events_total") for w in (one, two))

            await eventually_async(both_worked, within=60)
            assert one.stop() == 0
            await send(servers, topic_prefix, some[2000:])
            await until_committed(servers, topic_prefix, 3000)
    assert await profiles_as_the_oracle_says(told["REDIS_URL"], some)
    counted = trend_counts(appended(some), shop_id=shop_id)
    assert await trend_counts_kept(told["REDIS_URL"], shop_id) == counted


async def test_sigterm_commits_what_is_done(
    told: dict[str, str], topic_prefix: str, shop_id: str, tmp_path: Path
) -> None:
    """Asked to end, a worker commits all that it has folded, at once, and ends with status 0."""
    some = [{**view(i, at=now()), "shopId": shop_id} for i in range(20)]
    with run_worker(told, tmp_path / "worker.log") as worker:
        await send(told["KAFKA_SERVERS"], topic_prefix, some)

        async def folded() -> bool:
            return worker.metric("events_total") == 20

        await eventually_async(folded, within=30)
        assert worker.stop() == 0
    assert await committed(told["KAFKA_SERVERS"], topic_prefix) == 20


async def test_a_topic_with_its_producers_times(
    told: dict[str, str], kafka_servers: str, tmp_path: Path
) -> None:
    """Where producers say when their records were appended, a worker does not start."""
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_servers)
    await admin.start()
    await admin.create_topics(
        [
            NewTopic(f"theirs.{name}", 1, 1)
            for name in ("shopper-events", "shopper-history", "dead-letters")
        ]
    )
    await admin.close()
    with started(profiles_worker({**told, "TOPIC_PREFIX": "theirs."}, tmp_path / "log")) as worker:
        assert worker.process.wait(60) == 2
    said = (tmp_path / "log").read_text()
    assert "BAD_SETTING: topic theirs.shopper-events has message.timestamp.type=CreateTime" in said


async def test_a_profile_goes_after_its_retention(
    told: dict[str, str], topic_prefix: str, shop_id: str, tmp_path: Path
) -> None:
    """The worker gives profiles the retention that it was told; before it there is none."""
    assert await profiles(told["REDIS_URL"], [(shop_id, "u:ana")]) == [EMPTY]
    with run_worker(told | {"PROFILE_RETENTION_SECONDS": "3600"}, tmp_path / "worker.log"):
        await send(told["KAFKA_SERVERS"], topic_prefix, [{**view(1, at=now()), "shopId": shop_id}])
        await until_committed(told["KAFKA_SERVERS"], topic_prefix, 1)
    connection = RedisConnection(told["REDIS_URL"])
    (left,) = await connection.ask([("PTTL", profile_redis_key(event_key(shop_id, "u:ana")))])
    await connection.close()
    assert isinstance(left, int)
    assert 3_500_000 < left <= 3_600_000
