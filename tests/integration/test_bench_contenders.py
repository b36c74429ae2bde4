"""The contenders of ``make bench-stream`` do the same job: what they leave in Redis is equal."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from deploy.local.topics import create_topics
from services.shared.profile_codec import decode
from services.shared.redis_connection import RedisConnection
from services.shared.subject import profile_redis_key
from tests.bench.stream.contenders import (
    FAUST,
    FAUST_SINGLE,
    OURS,
    PEERS_PYTHON,
    PLAIN,
    QUIX,
    Contender,
)
from tests.bench.stream.load import Event, events, json_record, produce, protobuf_record, skewed
from tests.bench.stream.measuring import Run, Topic
from tests.bench.stream.servers import Servers, connection, servers
from tests.profile_events import key_of, plain
from tests.profile_oracle import recompute

EVENTS = 2_000


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """Kafka and Redis as the bench has them."""
    with servers(tmp_path_factory.mktemp("servers"), os.sched_getaffinity(0)) as both:
        yield both


async def fill(both: Servers, topic: Topic) -> list[Event]:
    """Send events, every other one as Protobuf."""
    random = np.random.default_rng(1)
    made = list(events(skewed(topic.events, random), random=random, until=datetime.now(UTC)))
    records = [(json_record, protobuf_record)[n % 2](each) for n, each in enumerate(made)]
    await create_topics(both.kafka.servers, prefix=topic.prefix)
    await asyncio.to_thread(produce, both.kafka.servers, topic.name, records)
    return made


async def kept(redis: RedisConnection) -> dict[bytes, bytes]:
    """All profiles by their keys."""
    (keys,) = await redis.ask([("KEYS", "attune:profile:*")])
    names = cast("list[bytes]", keys)
    return dict(zip(names, await redis.ask([("GET", name) for name in names]), strict=True))  # type: ignore[arg-type]  # GET answers bytes


@pytest.mark.parametrize(
    "contender", [OURS, PLAIN, FAUST, FAUST_SINGLE, QUIX], ids=lambda contender: contender.name
)
async def test_every_contender_folds_to_what_the_oracle_says(
    contender: Contender, both: Servers, tmp_path: Path
) -> None:
    """Each shopper has a profile, equal to that of the slow and obvious way, and none is more."""
    if contender is QUIX and not PEERS_PYTHON.exists():
        pytest.skip("its environment is missing, which make bench-stream makes")
    group = secrets.token_hex(4)
    topic = Topic(f"{group}.", EVENTS)
    of: defaultdict[bytes, list[Event]] = defaultdict(list)
    for event in await fill(both, topic):
        of[key_of(event)].append(event)
    core = max(os.sched_getaffinity(0))
    watched = await Run(both, topic, group, core, tmp_path).of(
        contender, append_only=contender is not FAUST_SINGLE
    )
    async with connection(both.redis.url) as redis:
        found = await kept(redis)
    assert watched.kept.events == EVENTS
    assert set(found) == {profile_redis_key(key) for key in of}
    for key, some in of.items():
        assert plain(decode(found[profile_redis_key(key)])) == recompute(some)
