"""Refused events are shown by one command; repaired and put back by another, they fold once."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from deploy.local.services import master_key
from services.profiles.__main__ import main
from services.profiles.choosing import moment
from services.shared.letter_keys import RedisLetterKeys
from services.shared.profile import EMPTY
from services.shared.redis_connection import RedisConnection
from services.shared.sealing import read_master_key
from tests.profile_events import Event, folded, key_of, view
from tests.stack import run_worker
from tests.waiting import eventually
from tests.worker_kafka import PARTITIONS, group_of, now, producer, profiles, until_committed

ROOT = Path(__file__).parents[2]
REFUSED = "events_total{outcome="


@pytest.fixture
def settings(
    kafka_servers: str, redis_url: str, topic_prefix: str, tmp_path: Path
) -> dict[str, str]:
    return {
        "MASTER_KEY_FILE": str(master_key(tmp_path)),
        "KAFKA_SERVERS": kafka_servers,
        "REDIS_URL": redis_url,
        "TOPIC_PREFIX": topic_prefix,
        "GROUP": group_of(topic_prefix),
    }


def replay(settings: dict[str, str], *arguments: str) -> list[str]:
    """What the command prints, without its spaces."""
    printed = run(settings, "replay-dead-letters", *arguments).stdout
    return sorted(" ".join(line.split()) for line in printed.splitlines())


def run(settings: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command that is done well."""
    environ = {f"ATTUNE_PROFILES_{name}": value for name, value in settings.items()}
    path = os.pathsep.join([str(ROOT), str(ROOT / "build/gen")])
    done = subprocess.run(
        [sys.executable, "-m", "services.profiles", *arguments],
        env={**os.environ, **environ, "PYTHONPATH": path},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done


async def ends(settings: dict[str, str]) -> int:
    """How many records the events topic has ever got."""
    consumer = AIOKafkaConsumer(bootstrap_servers=settings["KAFKA_SERVERS"])
    await consumer.start()
    topic = settings["TOPIC_PREFIX"] + "shopper-events"
    found = await consumer.end_offsets([TopicPartition(topic, number) for number in PARTITIONS])
    await consumer.stop()
    return sum(found.values())


async def test_repaired_events_are_put_back(
    settings: dict[str, str], redis_url: str, shop_id: str, tmp_path: Path
) -> None:
    """Another key, a repaired value, and what stays refused; each counts once, however often."""
    misplaced: Event = {**view(1, "mug", user="ana", at=now()), "shopId": shop_id}
    misspelt: Event = {**view(2, "pen", user="bob", at=now()), "shopId": shop_id}
    hopeless: Event = {**view(3, "cup", user="eve", at=now()), "shopId": shop_id}
    topic, prefix = settings["TOPIC_PREFIX"] + "shopper-events", settings["TOPIC_PREFIX"]
    with run_worker(settings, tmp_path / "worker.log") as worker:
        async with producer(settings["KAFKA_SERVERS"]) as to:
            await to.send_and_wait(topic, json.dumps(misplaced).encode(), b"wrong")
            wrong = json.dumps(misspelt).replace("productId", "productID").encode()
            await to.send_and_wait(topic, wrong, key_of(misspelt))
            await to.send_and_wait(topic, json.dumps(hopeless).encode()[:-1], key_of(hopeless))
        await until_committed(settings["KAFKA_SERVERS"], prefix, 3)
        assert worker.metric(REFUSED) == 3
        assert replay(settings, "--since", "1h", "--dry-run", "--rekey") == [
            "1 would be put back", "2 still refused: EVENT_NOT_JSON",
        ]  # fmt: skip
        assert await ends(settings) == 3
        chosen = ("--since", "1h", "--code", "EVENT_KEY_MISMATCH", "--rekey")
        for _ in range(2):
            assert replay(settings, *chosen) == ["1 put back"]
        through = ("--code", "EVENT_NOT_JSON", "--through", "sed s/productID/productId/")
        assert replay(settings, "--since", "1h", "--shop", shop_id, *through) == [
            "1 put back", "1 still refused: EVENT_NOT_JSON",
        ]  # fmt: skip
        await until_committed(settings["KAFKA_SERVERS"], prefix, 6)
        eventually(lambda: worker.metric('events_total{outcome="accepted"}') == 3, within=30)
    subjects = [(shop_id, f"u:{user}") for user in ("ana", "bob", "eve")]
    expected = [folded([misplaced]), folded([misspelt]), EMPTY]
    assert await profiles(redis_url, subjects) == expected
    assert replay(settings, "--since", "1h", "--through", "false") == [
        "0 put back",
        "3 not repaired: the command failed, took too long or printed too much",
    ]


async def test_letters_are_shown(
    settings: dict[str, str], redis_url: str, shop_id: str, tmp_path: Path
) -> None:
    """Opened, one a line or as JSON, those that are asked for; who was erased is counted."""
    prefix, servers = settings["TOPIC_PREFIX"], settings["KAFKA_SERVERS"]
    some: list[Event] = [
        {**view(n, "mug\x7f", user=user, at=now()), "shopId": shop_id}
        for n, user in enumerate(("ana", "bob"))
    ]
    with run_worker(settings, tmp_path / "worker.log"):
        async with producer(servers) as to:
            for one in some:
                value = json.dumps(one, ensure_ascii=False).encode()
                await to.send_and_wait(prefix + "shopper-events", value[:-1], key_of(one))
        await until_committed(servers, prefix, 2)
    assert len(run(settings, "show-dead-letters", "--since", "1h").stdout.splitlines()) == 2
    redis, master = RedisConnection(redis_url), read_master_key(Path(settings["MASTER_KEY_FILE"]))
    await RedisLetterKeys(redis, master).erase([f"{shop_id}/u:ana".encode()])
    await redis.close()
    told = run(settings, "show-dead-letters", "--since", "1h", "--shop", shop_id)
    (line,) = told.stdout.splitlines()
    assert '/u:bob value={"eventId": "e1"' in line
    assert f" {shop_id} EVENT_NOT_JSON: the value is not JSON" in line
    assert "mug\\x7f" in line
    assert told.stderr == "1 erased: the key of whom it is about is gone\n"
    (found,) = run(settings, "show-dead-letters", "--since", "1h", "--json").stdout.splitlines()
    letter = json.loads(found)
    assert (letter["code"], letter["key"]) == ("EVENT_NOT_JSON", f"{shop_id}/u:bob")
    assert letter["value"].startswith('{"eventId": "e1"')
    for chosen in (("--code", "EVENT_TOO_OLD"), ("--shop", "other"), ("--limit", "0")):
        assert run(settings, "show-dead-letters", "--since", "1h", *chosen).stdout == ""


def test_a_command_line_that_cannot_be(capsys: pytest.CaptureFixture[str]) -> None:
    """It says what is wrong and what would be right; --help has an example."""
    with pytest.raises(SystemExit) as ended:
        main(["replay-dead-letters", "--since", "yesterday"])
    assert ended.value.code == 2
    assert "'yesterday' is neither 2h nor a moment" in capsys.readouterr().err
    with pytest.raises(SystemExit) as ended:
        main(["replay-dead-letters", "--help"])
    assert ended.value.code == 0
    assert "--code EVENT_KEY_MISMATCH --rekey" in capsys.readouterr().out


async def test_a_command_that_is_not_there(
    settings: dict[str, str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sentence names it; nothing is put back."""
    async with producer(settings["KAFKA_SERVERS"]) as to:
        headers = [("attune_topic", (settings["TOPIC_PREFIX"] + "shopper-events").encode())]
        headers.append(("attune_value_size", b"1"))
        await to.send_and_wait(settings["TOPIC_PREFIX"] + "dead-letters", b"{", headers=headers)
    for name, value in settings.items():
        monkeypatch.setenv(f"ATTUNE_PROFILES_{name}", value)
    arguments = ["replay-dead-letters", "--since", "1h", "--through", "no-such-program"]
    assert await asyncio.to_thread(main, arguments) == 2
    assert "--through no-such-program: No such file" in capsys.readouterr().err
    assert await ends(settings) == 0


def test_moments() -> None:
    """So long ago, or a moment; without a zone it is UTC."""
    assert abs(moment("2h") - (now() - timedelta(hours=2))) < timedelta(minutes=1)
    assert moment("2026-11-24T10:00:00") == moment("2026-11-24T10:00:00Z")
