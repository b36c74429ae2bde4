"""How soon a new visitor and a new product are served: ``make bench-cold-start``.

Kafka, Redis, the worker and the recommendations server are real and share the machine, with the
committed bundle and the catalogue that it was trained on. *Visitors*: nobody knows them; each is
answered, looks at a product, and is asked for until the answer follows from that. *Listings*: each
is a product that the model has never seen, sent to ``catalog`` and ``offers`` as merchants do, and
asked for until the model ranks it, by what it is.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Final, NamedTuple

import grpc
import numpy as np
import uvloop
from aiokafka import AIOKafkaProducer
from rich.progress import track

from deploy.local.demo.sending import producer, send_all
from deploy.local.kafka import EmbeddedKafka
from deploy.local.redis import EmbeddedRedis
from deploy.local.topics import create_topics
from services.shared.identity import add_key
from tests.bench.cold_start.asking import Asking
from tests.bench.cold_start.listings import Listed, listed
from tests.bench.cold_start.visitors import EVENTS, Visit, looked, visit
from tests.bench.cold_start.world import SHOP, World, world
from tests.bench.report import Row, publish
from tests.stack import run_server, run_worker

GATE_MS: Final = 50.0
AIM_MS: Final = 15.0
"""Of an event that changes an answer."""
LISTING_GATE_MS: Final = 2_000.0
LISTING_AIM_MS: Final = 500.0
CROWD: Final = 200
"""Visitors of before, so that something trends."""
FIRST: Final = 10


class Size(NamedTuple):
    """How many of each."""

    visitors: int
    listings: int


WHOLE: Final = Size(400, 400)
QUICK: Final = Size(200, 200)


class Found(NamedTuple):
    """All that was seen."""

    visits: Sequence[Visit]
    listings: Sequence[Listed]


async def run(size: Size) -> Found:
    """All visitors, then all listings, on servers of their own."""
    made = world(size.listings)
    with tempfile.TemporaryDirectory() as name:
        async with standing(Path(name), made) as (asking, sender):
            random = Random(2)
            visits = [
                await visit(number, made, asking, sender, random)
                for number in track(range(size.visitors), "visitors")
            ]
            listings = [await listed(twin, asking, sender) for twin in track(made.twins, "listed")]
            return Found(visits, listings)


@asynccontextmanager
async def standing(folder: Path, made: World) -> AsyncIterator[tuple[Asking, AIOKafkaProducer]]:
    """The shop, with its catalogue read and a crowd that has been there."""
    kafka, redis = EmbeddedKafka(folder / "kafka"), EmbeddedRedis(folder / "redis")
    key = add_key(folder / "keys.json", shop_id=SHOP, scopes=["recommendations.read"])
    try:
        kafka.start()
        redis.start()
        await create_topics(kafka.servers)
        told = {"KAFKA_SERVERS": kafka.servers, "REDIS_URL": redis.url}
        serving = {**told, "API_KEYS_FILE": str(folder / "keys.json")}
        await _fill(kafka.servers, made)
        with (
            run_worker(told, folder / "worker.log"),
            run_server(serving, folder / "server.log") as server,
        ):
            async with (
                grpc.aio.insecure_channel(server.address) as channel,
                producer(kafka.servers, linger_ms=0) as sender,
            ):
                yield Asking(channel, key), sender
    finally:
        kafka.kill()
        redis.kill()


async def _fill(servers: str, made: World) -> None:
    """The catalogue, and the looks of a crowd at what is about to be looked at."""
    crowd = (
        looked(f"crowd-{number}", made.twins[number % len(made.twins)].like.product_id)
        for number in range(CROWD)
    )
    async with producer(servers) as sender:
        for topic in ("catalog", "offers"):
            records = (record for where, record in made.records() if where == topic)
            await send_all(sender, topic, records, lambda _: None)
        await send_all(sender, EVENTS, crowd, lambda _: None)


def rows(found: Found) -> list[Row]:
    """Percentiles of the times, and how many came to what they should."""
    visits, listings = found.visits, found.listings
    personal = [each.personal for each in visits]
    similar = [each.similar for each in listings]
    new_for = [each.new_for for each in listings]
    limits, gates = (GATE_MS, AIM_MS), (LISTING_GATE_MS, LISTING_AIM_MS)
    return [
        *_times("a new visitor's first list", [each.first for each in visits]),
        _share("such lists that trend or are popular, and say why", [v.is_honest for v in visits]),
        *_times("a list by the visit that the call tells", [each.told for each in visits]),
        _share("such lists that are by session", [each.is_session for each in visits]),
        *_times("first look → a list that follows from it, of those who got one", personal, limits),
        _share("visitors who got one", [e is not None for e in personal], all_of_them=True),
        *_times("listed → in SimilarProducts of its twin, of those found", similar, gates),
        _share("listings found there", [e is not None for e in similar], all_of_them=True),
        *_times("listed → by taste in what is new for a visitor, of those found", new_for, gates),
        _share(
            "listings found there, by taste", [e is not None for e in new_for], all_of_them=True
        ),
        _share(
            "listings among the ten most like their twin",
            [(each.place_similar or FIRST + 1) <= FIRST for each in listings],
        ),
        _share(
            "listings among a fan's first hundred of the whole catalogue",
            [each.place_home is not None for each in listings],
        ),
    ]


def _times(
    name: str, some: Sequence[float | None], limits: tuple[float, float] | None = None
) -> list[Row]:
    """The median and the 99th percentile of those that came; ``limits`` are for the latter.

    What never came would be slower than all of them: a share beside it, held to all, must count it.
    """
    came = np.array([each for each in some if each is not None] or [np.nan])
    spread = (float(came.min()), float(came.max()))
    return [
        Row(f"{name}, p50", float(np.percentile(came, 50)), "ms", spread),
        Row(f"{name}, p99", float(np.percentile(came, 99)), "ms", spread, *(limits or ())),
    ]


def _share(name: str, some: Sequence[bool], *, all_of_them: bool = False) -> Row:
    """How many of so many; with ``all_of_them`` none may be missing."""
    count = float(sum(some))
    gate = float(len(some)) if all_of_them else None
    return Row(name, count, f"of {len(some)}", (count, count), gate)


def main() -> None:
    """Measure, and publish."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.cold_start", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer visitors and listings")
    size = QUICK if parser.parse_args().quick else WHOLE
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        publish("cold-start", rows(runner.run(run(size))))


if __name__ == "__main__":
    main()
