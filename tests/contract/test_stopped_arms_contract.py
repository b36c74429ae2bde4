"""Stopped arms: what attribution adds the server hears of, by real Redis and by a cluster."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import msgspec
import pytest

from services.attribution.adapters.stops import MemoryStops, RedisStops, Stops
from services.recommendations.adapters.stopped_arms import StoppedArms
from services.recommendations.domain.policies import Policies
from services.recommendations.domain.scenario_document import read_scenarios
from services.shared.redis_cluster import RedisCluster
from services.shared.redis_connection import Connection, RedisConnection
from services.shared.redis_routing import SlotMap
from services.shared.stopped_arms import StoppedArm
from services.shared.subject import stopped_arms_redis_key
from tests.unit.test_recommendations_policies import SHOPPERS, TRIED

STOPPED = StoppedArm(
    experiment="ranking", arm="b", harm="late", at=datetime(2026, 3, 1, tzinfo=UTC)
)


@pytest.fixture(params=["redis", "redis cluster"])
async def redis(request: pytest.FixtureRequest) -> AsyncIterator[Connection]:
    opened: Connection = (
        RedisCluster(SlotMap(request.getfixturevalue("cluster_url")))
        if request.param == "redis cluster"
        else RedisConnection(request.getfixturevalue("redis_url"))
    )
    yield opened
    await opened.close()


@pytest.fixture
def shop() -> str:
    """A shop of the test's own."""
    return f"s{secrets.token_hex(4)}"


async def adds_once(stops: Stops, shop: str) -> None:
    """The same case for all."""
    assert await stops.add(shop, STOPPED)
    later = msgspec.structs.replace(STOPPED, harm="fallback")
    assert not await stops.add(shop, later)
    assert await stops.add(shop, msgspec.structs.replace(STOPPED, arm="c"))
    assert await stops.add(shop + "-2", STOPPED)


async def test_an_arm_is_stopped_once_in_memory(shop: str) -> None:
    """The first reason stays; other arms and shops have their own."""
    stops = MemoryStops()
    await adds_once(stops, shop)
    assert stops.kept[shop, STOPPED.field] == STOPPED


async def test_an_arm_is_stopped_once(redis: Connection, shop: str) -> None:
    """The same in Redis, for more than a year; and the server serves it as the control."""
    await adds_once(RedisStops(redis), shop)
    (lives,) = await redis.ask([("TTL", stopped_arms_redis_key(shop))])
    assert isinstance(lives, int)
    assert lives > 366 * 24 * 3600
    policies = Policies()
    policies.put({shop: read_scenarios(TRIED)})
    assert {policies.of(shop, "home", unit).served for unit in SHOPPERS} == {"home", "home-b"}
    await StoppedArms(redis, policies, shops=lambda: (shop,)).look()
    assert {policies.of(shop, "home", unit).served for unit in SHOPPERS} == {"home"}
