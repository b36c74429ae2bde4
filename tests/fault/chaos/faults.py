"""What may strike: each first gets hold of what it strikes, and then takes as long as it takes.

Between the two the story waits, so that what strikes a worker finds one at work, and the
records that follow are on their way when it does.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, NamedTuple

from tests.fault.chaos.crew import Member
from tests.fault.chaos.stage import EVENTS, SESSION_SECONDS, Stage
from tests.fault.chaos.story import Fault
from tests.standing import standing_still
from tests.waiting import eventually_async
from tests.worker_kafka import PARTITIONS

TAKEN_OVER_WITHIN = SESSION_SECONDS + 30.0
FOLDED_ON_WITHIN = 2.0
MOMENT_SECONDS = 0.1
SENT_AGAIN = 300

Hold = Callable[[Stage, Fault], AbstractAsyncContextManager[Member | None]]
Strike = Callable[[Stage, Fault, Any], Awaitable[None]]


@asynccontextmanager
async def a_worker(on: Stage, how: Fault) -> AsyncIterator[Member]:
    """A worker that is at work, and that no other fault is at."""
    async with on.crew.taken(how.pick) as worker:
        yield worker


@asynccontextmanager
async def a_worker_and_kafka(on: Stage, how: Fault) -> AsyncIterator[Member]:
    """The same, while nobody takes Kafka away."""
    async with on.kafka_held, on.crew.taken(how.pick) as worker:
        yield worker


@asynccontextmanager
async def one_more(on: Stage, _: Fault) -> AsyncIterator[Member]:
    """A worker that was just started."""
    worker = on.crew.add()
    worker.is_taken = True
    yield worker


async def worker_killed(_: Stage, how: Fault, worker: Member) -> None:
    """Kill -9; started again, the seed says how soon."""
    worker.service.kill()
    await asyncio.sleep(how.lasts)
    worker.start()


async def worker_ended(on: Stage, _: Fault, worker: Member) -> None:
    """SIGTERM; started again."""
    await on.crew.end(worker)
    worker.start()


async def worker_comes_and_goes(on: Stage, how: Fault, worker: Member) -> None:
    """It joins, is given partitions, and soon leaves again."""
    await on.crew.joined(worker)
    await asyncio.sleep(how.lasts)
    await on.crew.end(worker)
    on.crew.members.remove(worker)


async def zombie(on: Stage, _: Fault, worker: Member) -> None:
    """It stands still until another has its partitions and has folded on, and then goes on."""
    with standing_still(worker.service.process.pid):
        await _taken_over(on, worker)


async def zombie_in_the_middle(on: Stage, _: Fault, worker: Member) -> None:
    """The same, with a batch in hand: it comes to stand waiting for an answer of Redis."""
    with contextlib.ExitStack() as still:
        async with on.redis_held:
            with standing_still(on.redis.process.pid):
                await asyncio.sleep(MOMENT_SECONDS)
                still.enter_context(standing_still(worker.service.process.pid))
        await _taken_over(on, worker)


@asynccontextmanager
async def redis(on: Stage, _: Fault) -> AsyncIterator[None]:
    """Redis, for oneself."""
    async with on.redis_held:
        yield


async def redis_killed(on: Stage, how: Fault, _: object) -> None:
    """Kill -9; it comes back with its append-only file."""
    on.redis.kill()
    await asyncio.sleep(how.lasts)
    await asyncio.to_thread(on.redis.start)


async def redis_behind(on: Stage, how: Fault, _: object) -> None:
    """It comes back without what it wrote last, as a replica that was behind."""
    was = on.appended.stat().st_size
    await asyncio.sleep(how.lasts)
    on.redis.kill()
    os.truncate(on.appended, was)
    await asyncio.to_thread(on.redis.start)


async def redis_full(on: Stage, how: Fault, _: object) -> None:
    """It refuses to write."""
    await on.set_redis("maxmemory", "1")
    await asyncio.sleep(how.lasts)
    await on.set_redis("maxmemory", "0")


async def redis_still(on: Stage, how: Fault, _: object) -> None:
    """It answers nothing, and later everything."""
    with standing_still(on.redis.process.pid):
        await asyncio.sleep(how.lasts)


@asynccontextmanager
async def kafka(on: Stage, _: Fault) -> AsyncIterator[None]:
    """Kafka, for oneself."""
    async with on.kafka_held:
        yield


async def kafka_killed(on: Stage, how: Fault, _: object) -> None:
    """Kill -9; it comes back with its logs."""
    await asyncio.to_thread(on.kafka.kill)
    await asyncio.sleep(how.lasts)
    await asyncio.to_thread(on.kafka.start)


async def kafka_still(on: Stage, how: Fault, _: object) -> None:
    """It answers nothing, and later everything, if somebody still waits."""
    with standing_still(on.kafka.process.pid):
        await asyncio.sleep(how.lasts)


@asynccontextmanager
async def nothing(_: Stage, __: Fault) -> AsyncIterator[None]:
    """Nobody is struck."""
    yield


async def sent_again(on: Stage, how: Fault, _: object) -> None:
    """The producer sends a range of what it has sent, with the same event ids."""
    start = int(how.pick * len(on.sender.kept))
    await on.sender.again(on.sender.kept[start : start + SENT_AGAIN])


@asynccontextmanager
async def both_servers(on: Stage, _: Fault) -> AsyncIterator[None]:
    """Kafka and Redis, which stay."""
    async with on.kafka_held, on.redis_held:
        yield


async def set_back(on: Stage, how: Fault, _: object) -> None:
    """The group reads again from a random place on; asked for when all is folded and safe."""
    count = len(on.crew.members)
    await on.crew.end_all()
    await on.set_group_back(how.pick)
    for _ in range(count):
        on.crew.add()
    await on.crew.joined(*on.crew.members)


async def _taken_over(on: Stage, gone: Member) -> None:
    """Return once others have all partitions, and have folded on if there is anything to fold."""
    all_of_them = {f"{on.prefix}{EVENTS}/{number}" for number in PARTITIONS}
    if len(on.crew.members) == 1:
        on.crew.add()

    async def is_taken() -> bool:
        others = [one.holds() for one in on.crew.members if one is not gone]
        return all_of_them <= set().union(*others)

    await eventually_async(is_taken, within=TAKEN_OVER_WITHIN)
    before = await on.committed()

    async def has_folded() -> bool:
        return await on.committed() > before

    with contextlib.suppress(AssertionError):  # nothing was left to fold
        await eventually_async(has_folded, within=FOLDED_ON_WITHIN)


class Way(NamedTuple):
    """How a kind of fault comes about."""

    hold: Hold
    strike: Strike


WAYS: dict[str, Way] = {
    "worker_killed": Way(a_worker, worker_killed),
    "worker_ended": Way(a_worker, worker_ended),
    "worker_comes_and_goes": Way(one_more, worker_comes_and_goes),
    "zombie": Way(a_worker_and_kafka, zombie),
    "zombie_in_the_middle": Way(a_worker_and_kafka, zombie_in_the_middle),
    "redis_killed": Way(redis, redis_killed),
    "redis_behind": Way(redis, redis_behind),
    "redis_full": Way(redis, redis_full),
    "redis_still": Way(redis, redis_still),
    "kafka_killed": Way(kafka, kafka_killed),
    "kafka_still": Way(kafka, kafka_still),
    "sent_again": Way(nothing, sent_again),
    "set_back": Way(both_servers, set_back),
}
