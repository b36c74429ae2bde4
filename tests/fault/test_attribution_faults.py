"""Whatever is killed or stands still: figures are what a plain oracle makes of all there was."""

from __future__ import annotations

import asyncio
import contextlib
import random
import subprocess
from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path

import pytest

from deploy.local.kafka import EmbeddedKafka
from deploy.local.redis import EmbeddedRedis
from deploy.local.topics import create_topics
from tests.attribution_history import History, history
from tests.attribution_kafka import Installation
from tests.attribution_parts import Record
from tests.fault.test_profiles_topics import make_anew
from tests.stack import started
from tests.standing import standing_still
from tests.waiting import eventually
from tests.worker_kafka import now

SHOPPERS = 40
KILLS = 5
SECONDS = 90.0


@pytest.fixture
def installed(
    kafka_servers: str, topic_prefix: str, own_redis: EmbeddedRedis, tmp_path: Path
) -> Installation:
    """Topics and a Redis of the test's own."""
    return Installation(kafka_servers, topic_prefix, own_redis.url, tmp_path)


def parts(records: list[Record], count: int) -> list[list[Record]]:
    """So many of about the same size."""
    return [records[number::count] for number in range(count)]


def some(seed: int, part: str = "") -> History:
    return history(seed, since=now() - timedelta(hours=1), shoppers=SHOPPERS, part=part)


def has_claimed(log: Path) -> bool:
    return log.exists() and log.read_text().count('"claimed"') >= 4


@pytest.mark.parametrize("seed", [3, 5])
def test_killed_at_random_moments(installed: Installation, seed: int) -> None:
    """Five times in the midst of a history that comes in any order, and partly twice."""
    chance, made = random.Random(seed), some(seed)
    for life, sent in enumerate(parts(made.shuffled(chance), KILLS)):
        installed.send(sent)
        with started(installed.service(f"{life}", INSTANCE_ID="one")) as service:
            eventually(lambda log=service.log_path: has_claimed(log), within=SECONDS)  # type: ignore[misc]  # mypy does not see the default
            with contextlib.suppress(subprocess.TimeoutExpired):
                service.process.wait(chance.uniform(0.0, 0.5))
            service.kill()
    with installed.running("last", INSTANCE_ID="one"):
        eventually(lambda: installed.figures() == made.figures, within=SECONDS)


def test_two_processes_and_one_that_stands_still(installed: Installation) -> None:
    """The other takes its partitions; when it comes to itself it adds nothing, and goes on."""
    quick = {"SESSION_TIMEOUT_SECONDS": "6"}
    made = some(7)
    first, second, third = parts(made.shuffled(random.Random(7)), 3)
    with installed.running("one", **quick) as one, installed.running("two", **quick):
        installed.send(first)
        with standing_still(one.process.pid):
            installed.send(second)
            two = installed.folder / "two.log"
            eventually(lambda: has_claimed(two), within=SECONDS)
        installed.send(third)
        eventually(lambda: installed.figures() == made.figures, within=SECONDS)


def test_redis_that_is_killed(installed: Installation, own_redis: EmbeddedRedis) -> None:
    """What it has lost it has lost whole, and it is counted again."""
    made = some(9)
    chance = random.Random(9)
    with installed.running() as service:
        for sent in parts(made.shuffled(chance), KILLS):
            installed.send(sent)
            with contextlib.suppress(subprocess.TimeoutExpired):
                service.process.wait(chance.uniform(0.0, 0.3))
            own_redis.kill()
            own_redis.start()
        eventually(lambda: installed.figures() == made.figures, within=SECONDS)
        assert service.stop() == 0


@pytest.mark.parametrize("sleeping", [False, True])
def test_a_topic_that_is_made_anew(
    own_kafka: EmbeddedKafka, own_redis: EmbeddedRedis, tmp_path: Path, sleeping: bool
) -> None:
    """Offsets begin again, or are beyond the old ones, as it slept: all of the new one is read."""
    asyncio.run(create_topics(own_kafka.servers))
    installed = Installation(own_kafka.servers, "", own_redis.url, tmp_path)
    made = some(11)
    part = len(made.events) // (4 if sleeping else 2)
    with installed.running() as service:
        installed.send([*made.answers, *made.events[:part]])
        first = History(made.answers, made.events[:part])
        eventually(lambda: installed.figures() == first.figures, within=SECONDS)
        with standing_still(service.process.pid) if sleeping else nullcontext():
            asyncio.run(make_anew(installed.servers))
            installed.send(made.events[part:])
        eventually(lambda: installed.figures() == made.figures, within=SECONDS)
