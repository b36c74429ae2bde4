"""The worker on a Redis Cluster whose slots move, and of which a primary is killed."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, Iterator
from pathlib import Path

from deploy.local.redis_cluster import EmbeddedRedisCluster
from services.shared.redis_cluster import RedisCluster
from services.shared.redis_routing import SlotMap, slot_of
from services.shared.subject import event_key
from tests.fault.test_profiles_faults import FOLDED, shopping, told
from tests.profile_events import Event, key_of
from tests.profile_oracle import trend_counts
from tests.redis_slots import Move, elsewhere, refusals, server_of
from tests.stack import run_worker
from tests.waiting import eventually, eventually_async
from tests.worker_kafka import (
    appended,
    producer,
    profiles_as_the_oracle_says,
    trend_counts_kept,
    until_committed,
)

PARTS = 60
"""In so many parts the events are sent."""

HALF = 30
"""Until then slots move; then the primary is killed."""


def moves_of(admin: RedisCluster, source: str, shoppers: Iterable[Event]) -> Iterator[Move]:
    """All slots of one node in which shoppers are, to be moved to another."""
    names = {event_key(one["shopId"], "u:" + one["userId"]) for one in shoppers}
    for slot in sorted({slot_of(name) for name in names}):
        if admin.slots.primary_of(slot) == source:
            yield Move(admin, slot, source, elsewhere(admin, source))


async def send_while_it_changes(
    servers: str, topic: str, events: list[Event], change: Callable[[int], Awaitable[None]]
) -> None:
    """Send events in parts; after each, ``change`` is told how many have been sent."""
    async with producer(servers) as to:
        for part in range(PARTS):
            for one in events[part::PARTS]:
                await to.send(topic, json.dumps(one).encode(), key_of(one))
            await to.flush()
            await change(part + 1)


async def test_slots_move_and_a_primary_dies_while_folding(
    kafka_servers: str,
    own_cluster: EmbeddedRedisCluster,
    topic_prefix: str,
    shop_id: str,
    tmp_path: Path,
) -> None:
    """Whatever is moved or lost meanwhile, in the end every profile is the oracle's.

    Trends never count twice; they may lack what only the killed node had.
    """
    some, url = shopping(shop_id, 10_000), own_cluster.url
    admin = RedisCluster(SlotMap(url))
    await admin.slots.load()
    source, _, last = admin.slots.primaries
    moves = list(moves_of(admin, source, some))
    settings = told(kafka_servers, url, topic_prefix)

    async def change(sent: int) -> None:
        if sent <= HALF:
            eventually(lambda: worker.metric(FOLDED), within=30)
            for move in moves[sent - 1 :: HALF]:
                await move.all()
        if sent == HALF:
            assert await refusals(admin, source, "MOVED") > 0
            server_of(own_cluster, last).kill()

    with run_worker(settings, tmp_path / "worker.log") as worker:
        await send_while_it_changes(kafka_servers, topic_prefix + "shopper-events", some, change)
        await until_committed(kafka_servers, topic_prefix, len(some))
        eventually(lambda: "redis_changed" in worker.log_path.read_text(), within=30)
        await eventually_async(lambda: profiles_as_the_oracle_says(url, some), within=60)
        assert worker.process.poll() is None
    assert await profiles_as_the_oracle_says(url, some)
    kept = await trend_counts_kept(url, shop_id)
    full = trend_counts(appended(some), shop_id=shop_id)
    assert kept
    assert all(count <= full[visit] for visit, count in kept.items())
    await admin.close()
