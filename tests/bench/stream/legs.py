"""Which runs there are: who folds what, how often."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from deploy.local.topics import create_topics
from tests.bench.stream.contenders import FAUST, FAUST_SINGLE, OURS, PLAIN, QUIX, Contender
from tests.bench.stream.load import (
    Event,
    Numbers,
    Record,
    all_different,
    events,
    json_record,
    produce,
    protobuf_record,
    skewed,
)
from tests.bench.stream.measuring import Figures, Run, Topic
from tests.bench.stream.servers import Servers

SEED: Final = 20_260_301


class Limits(NamedTuple):
    """What our events a second are held to."""

    gate: float
    aim: float


class Leg(NamedTuple):
    """One job for several contenders."""

    name: str
    shoppers: Callable[[int, np.random.Generator], Numbers]
    record: Callable[[Event], Record]
    append_only: bool
    """Whether Redis keeps a file, which makes each contender wait for it before it commits."""
    contenders: Sequence[Contender]
    limits: Limits | None = None


MAIN: Final = (
    Leg(
        "all different, JSON, durable",
        all_different,
        json_record,
        True,
        (OURS, QUIX, PLAIN, FAUST),
        Limits(40_000, 80_000),
    ),
    Leg(
        "skewed, JSON, durable",
        skewed,
        json_record,
        True,
        (OURS, QUIX, PLAIN, FAUST),
        Limits(100_000, 160_000),
    ),
)
SIDE: Final = (
    Leg("all different, Protobuf, durable", all_different, protobuf_record, True, (OURS, QUIX)),
    Leg("skewed, Protobuf, durable", skewed, protobuf_record, True, (OURS, QUIX)),
    Leg(
        "all different, JSON, not durable",
        all_different,
        json_record,
        False,
        (OURS, QUIX, PLAIN, FAUST, FAUST_SINGLE),
    ),
)


class Size(NamedTuple):
    """How much of it is done."""

    events: int
    slow_events: int
    """For Faust as it comes, which would take minutes."""
    main_runs: int
    side_runs: int
    paired_runs: int
    """Of one worker, and of two."""
    shoppers: int
    """Whose profiles are made; each is kept under ten names."""

    def events_for(self, contender: Contender) -> int:
        """How many events the contender folds in a run."""
        return self.slow_events if contender in (FAUST, FAUST_SINGLE) else self.events


WHOLE: Final = Size(300_000, 40_000, 5, 3, 5, 10_000)
QUICK: Final = Size(80_000, 8_000, 1, 0, 1, 1_000)


class Bench:
    """Runs legs on servers; topics are filled once and read by all."""

    def __init__(self, servers: Servers, core: int, folder: Path) -> None:
        """``core`` is the workers'."""
        self.servers = servers
        self.core = core
        self.folder = folder
        self._topics: dict[str, Topic] = {}

    async def run(self, leg: Leg, contender: Contender, count: int) -> Figures:
        """One run of ``count`` events by a group of its own."""
        topic = await self._topic(leg, count)
        run = Run(self.servers, topic, secrets.token_hex(4), self.core, self.folder)
        return (await run.of(contender, append_only=leg.append_only)).figures()

    async def _topic(self, leg: Leg, count: int) -> Topic:
        prefix = f"{leg.shoppers.__name__}.{leg.record.__name__}.{count}."
        if prefix not in self._topics:
            topic = self._topics[prefix] = Topic(prefix, count)
            await create_topics(self.servers.kafka.servers, prefix=prefix)
            records = map(leg.record, _events(leg, count))
            await asyncio.to_thread(produce, self.servers.kafka.servers, topic.name, records)
        return self._topics[prefix]


def _events(leg: Leg, count: int) -> Iterator[Event]:
    random = np.random.default_rng(SEED)
    shoppers = leg.shoppers(count, random)
    return events(shoppers, random=random, until=datetime.now(UTC))
