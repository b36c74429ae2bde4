"""How soon a click is in the figures: ``python -m tests.bench.figures`` (``--quick``: in a minute).

Kafka, Redis and attribution share the machine with who asks. Answers are logged beforehand. Then
clicks come one after another, each after a pause of random length, as a click finds attribution
at any moment of its round; the time is from Kafka's acknowledgement, which is what ``Write``
answers on, until the shop's figures, as ``figures`` reads them, have the click.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Final

import numpy as np

from deploy.local.kafka import EmbeddedKafka
from deploy.local.redis import EmbeddedRedis
from deploy.local.topics import create_topics
from services.attribution.adapters.kept_figures import RedisFigures
from services.shared.redis_connection import RedisConnection
from tests.attribution_kafka import Installation
from tests.attribution_parts import SHOP, answer, click
from tests.bench.report import Row, publish
from tests.profile_events import key_of
from tests.waiting import eventually_async
from tests.worker_kafka import now, producer

WHOLE: Final = 1_000
QUICK: Final = 100
WARM: Final = 20
"""Clicks before anything is measured: a broker that has just started compiles its code."""
PAUSE_SECONDS: Final = 0.5
"""The longest one."""
LOOK_SECONDS: Final = 0.001
WITHIN_SECONDS: Final = 30.0


class Clicks:
    """Sends clicks and sees when each is counted."""

    def __init__(self, servers: str, redis: RedisConnection) -> None:
        self._servers = servers
        self._figures = RedisFigures(redis)
        self._today = int(time.time()) // 86_400

    async def counted(self, measure: str) -> int:
        """How many of a measure the figures have, also of the day that has just begun."""
        found = await self._figures.of_days(SHOP, (self._today, self._today + 1))
        return sum(each.get(measure, 0) for each in found.values())

    async def follow(self, clicks: int, random: Random) -> list[float]:
        """Milliseconds from acknowledgement to figure, of one click after another."""
        waits = []
        async with producer(self._servers) as to:
            for number in range(clicks):
                await asyncio.sleep(random.uniform(0, PAUSE_SECONDS))
                one = click(number, f"t{number}", user=f"u{number}", at=now())
                await to.send_and_wait("shopper-events", json.dumps(one).encode(), key_of(one))
                waits.append(await self._until(number + 1))
        return waits

    async def _until(self, clicks: int) -> float:
        begun = time.perf_counter()
        while await self.counted("clicks") < clicks:
            if time.perf_counter() - begun > WITHIN_SECONDS:
                raise TimeoutError(f"click {clicks} is not counted in {WITHIN_SECONDS:.0f} s")
            await asyncio.sleep(LOOK_SECONDS)
        return (time.perf_counter() - begun) * 1_000


async def measure(clicks: int) -> list[float]:
    """On servers of its own."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        kafka, redis = EmbeddedKafka(folder / "kafka"), EmbeddedRedis(folder / "redis")
        try:
            kafka.start()
            redis.start()
            await create_topics(kafka.servers)
            return await _measure(Installation(kafka.servers, "", redis.url, folder), clicks)
        finally:
            kafka.kill()
            redis.kill()


async def _measure(installed: Installation, clicks: int) -> list[float]:
    redis = RedisConnection(installed.redis_url)
    try:
        followed = Clicks(installed.servers, redis)
        with installed.running():
            total = clicks + WARM
            some = [answer(f"t{n}", user=f"u{n}", at=now()) for n in range(total)]
            await installed.log(some)

            async def logged() -> bool:
                return await followed.counted("answers") == total

            await eventually_async(logged, within=WITHIN_SECONDS)
            return (await followed.follow(total, Random(1)))[WARM:]
    finally:
        await redis.close()


def rows(waits: Sequence[float]) -> list[Row]:
    """Percentiles."""
    made = []
    for name, percentile in (("p50", 50), ("p99", 99), ("slowest", 100)):
        value = float(np.percentile(waits, percentile))
        made.append(Row(f"a click in the figures, {name}", value, "ms", (value, value)))
    return made


def main() -> None:
    """Measure and say."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help=f"{QUICK} clicks, not {WHOLE:,}")
    clicks = QUICK if parser.parse_args().quick else WHOLE
    publish("figures", rows(asyncio.run(measure(clicks))))


if __name__ == "__main__":
    main()
