"""Ready, live, and trying again while something is away."""

from __future__ import annotations

import pytest
from faust.types import TP

from services.profiles.readiness import NEEDED, Readiness
from services.shared.errors import RedisUnavailable
from services.shared.health import Health
from services.shared.trying import insist

TP0, TP1 = TP("shopper-events", 0), TP("shopper-events", 1)


async def test_insist_until_it_works() -> None:
    """What is away is asked again until it answers; an error of another kind passes through."""
    tries: list[int] = []
    told: list[bool] = []

    async def attempt() -> str:
        tries.append(1)
        if len(tries) < 3:
            raise RedisUnavailable("away")
        return "done"

    assert await insist(attempt, doing="test", failing=told.append) == "done"
    assert (len(tries), told) == (3, [True, True, False])

    async def wrong() -> None:
        raise ValueError("ours")

    with pytest.raises(ValueError, match="ours"):
        await insist(wrong, doing="test")


async def test_insist_gives_up_when_told() -> None:
    """Once the process is to end, what is away is no longer waited for."""

    async def attempt() -> None:
        raise RedisUnavailable("away")

    with pytest.raises(RedisUnavailable):
        await insist(attempt, doing="test", giving_up=lambda: True)


def test_readiness_needs_everything() -> None:
    """All must be there, in whatever order they come, and none may go."""
    health = Health()
    readiness = Readiness(health)
    for what in NEEDED:
        assert not health.is_ready
        readiness.has(what)
    assert health.is_ready
    for what in NEEDED:
        readiness.lacks(what)
        assert not health.is_ready
        readiness.has(what)
        assert health.is_ready


def test_readiness_means_progress() -> None:
    """While a batch of any partition is tried again and again, it is not ready."""
    health = Health()
    readiness = Readiness(health)
    for what in NEEDED:
        readiness.has(what)
    told = []
    for tp, is_so in ((TP0, True), (TP1, True), (TP0, False), (TP1, False)):
        readiness.stuck(tp, is_so)
        told.append(health.is_ready)
    assert told == [False, False, False, True]


def test_a_process_that_hangs_is_not_live() -> None:
    """And is again once it gets on."""
    health = Health()
    readiness = Readiness(health)
    assert health.is_live
    readiness.hangs(True)
    assert not health.is_live
    readiness.hangs(False)
    assert health.is_live


def test_once_ending_a_worker_is_not_ready_again() -> None:
    """Redis that answers while the last batch is finished brings no new work."""
    health = Health()
    readiness = Readiness(health)
    for what in NEEDED:
        readiness.has(what)
    readiness.end()
    readiness.has("redis")
    assert not health.is_ready
