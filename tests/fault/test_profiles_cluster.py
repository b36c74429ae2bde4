"""The worker on a Redis Cluster whose slots move, and of which a primary is killed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from deploy.local.redis_cluster import EmbeddedRedisCluster
from services.shared.redis_cluster import RedisCluster
from services.shared.redis_routing import SlotMap, slot_of
from services.shared.subject import event_key
from tests.fault.test_profiles_faults import FOLDED, shopping, told
from tests.profile_events import Event, key_of
from tests.profile_oracle import trend_counts
from tests.redis_slots import Move, elsewhere, on
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
"""In so many parts the events are sent; slots move meanwhile, then the primary is killed."""


async def refusals(admin: RedisCluster, node: str) -> int:
    """How often a node answered MOVED."""
    told = await on(admin, node, "INFO", "errorstats")
    assert isinstance(told, bytes)
    found = told.decode().partition("errorstat_MOVED:count=")[2].split()
    return int(found[0]) if found else 0


def moves_of(admin: RedisCluster, source: str, shoppers: Iterable[Event]) -> Iterator[Move]:
    """All slots of one node in which shoppers are, to be moved to another."""
    names = {event_key(one["shopId"], "u:" + one["userId"]) for one in shoppers}
    for slot in sorted({slot_of(name) for name in names}):
        if admin.slots.primary_of(slot) == source:
            yield Move(admin, slot, source, elsewhere(admin, source))


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
    some = shopping(shop_id, 10_000)
    admin = RedisCluster(SlotMap(own_cluster.url))
    await admin.slots.load()
    source, _, last = admin.slots.primaries
    moves = list(moves_of(admin, source, some))
    settings = told(kafka_servers, own_cluster.url, topic_prefix)
    with run_worker(settings, tmp_path / "worker.log") as worker:
        async with producer(kafka_servers) as to:
            for part in range(PARTS):
                for one in some[part::PARTS]:
                    await to.send(
                        topic_prefix + "shopper-events", json.dumps(one).encode(), key_of(one)
                    )
                await to.flush()
                if part < PARTS // 2:
                    eventually(lambda: worker.metric(FOLDED), within=30)
                    for move in moves[part :: PARTS // 2]:
                        await move.all()
                elif part == PARTS // 2:
                    assert await refusals(admin, source) > 0
                    next(s for s in own_cluster.servers if last.endswith(f":{s.port}")).kill()

        async def is_right() -> bool:
            return await profiles_as_the_oracle_says(own_cluster.url, some)

        await until_committed(kafka_servers, topic_prefix, len(some))
        await eventually_async(is_right, within=60)
        eventually(lambda: "redis_changed" in worker.log_path.read_text(), within=30)
        assert worker.process.poll() is None
    assert await profiles_as_the_oracle_says(own_cluster.url, some)
    kept, full = (
        await trend_counts_kept(own_cluster.url, shop_id),
        trend_counts(appended(some), shop_id=shop_id),
    )
    assert kept
    assert all(count <= full[visit] for visit, count in kept.items())
    await admin.close()
