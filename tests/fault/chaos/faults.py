"""What may strike: each takes a stage and how it is to strike, and returns once it is over."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

from tests.fault.chaos.crew import Member
from tests.fault.chaos.stage import EVENTS, SESSION_SECONDS, Stage, standing_still
from tests.fault.chaos.story import Fault
from tests.waiting import eventually_async
from tests.worker_kafka import PARTITIONS, group_of

BACK_WITHIN = 60.0
TAKEN_OVER_WITHIN = SESSION_SECONDS + 30.0
FOLDED_ON_WITHIN = 2.0
MOMENT_SECONDS = 0.1
SENT_AGAIN = 300


async def worker_killed(on: Stage, how: Fault) -> None:
    """Kill −9; started again, the seed says how soon."""
    async with on.crew.taken(how.pick) as worker:
        worker.service.kill()
        await asyncio.sleep(how.lasts)
        worker.start()


async def worker_ended(on: Stage, how: Fault) -> None:
    """SIGTERM; started again."""
    async with on.crew.taken(how.pick) as worker:
        await on.crew.end(worker)
        worker.start()


async def worker_comes_and_goes(on: Stage, how: Fault) -> None:
    """One more joins, and soon leaves again."""
    worker = on.crew.add()
    worker.is_taken = True
    await asyncio.sleep(how.lasts + MOMENT_SECONDS)
    await on.crew.end(worker)
    on.crew.members.remove(worker)


async def zombie(on: Stage, how: Fault) -> None:
    """One stands still until another has its partitions and has folded on, and then goes on."""
    async with on.kafka_held, on.crew.taken(how.pick) as worker:
        with standing_still(worker.service.process.pid):
            await _taken_over(on, worker)


async def zombie_in_the_middle(on: Stage, how: Fault) -> None:
    """The same, with a batch in hand: it comes to stand waiting for an answer of Redis."""
    async with on.kafka_held, on.crew.taken(how.pick) as worker, contextlib.AsyncExitStack() as still:
        async with on.redis_held:
            with standing_still(on.redis.process.pid):
                await asyncio.sleep(MOMENT_SECONDS)
                still.enter_context(standing_still(worker.service.process.pid))
        await _taken_over(on, worker)


async def redis_killed(on: Stage, how: Fault) -> None:
    """Kill −9; it comes back with its append-only file."""
    async with on.redis_held:
        on.redis.kill()
        await asyncio.sleep(how.lasts)
        await asyncio.to_thread(on.redis.start)


async def redis_behind(on: Stage, how: Fault) -> None:
    """It comes back without what it wrote last, as a replica that was behind."""
    async with on.redis_held:
        was = on.appended.stat().st_size
        await asyncio.sleep(how.lasts)
        on.redis.kill()
        os.truncate(on.appended, was)
        await asyncio.to_thread(on.redis.start)


async def redis_full(on: Stage, how: Fault) -> None:
    """It refuses to write."""
    async with on.redis_held:
        await on.set_redis("maxmemory", "1")
        await asyncio.sleep(how.lasts)
        await on.set_redis("maxmemory", "0")


async def redis_still(on: Stage, how: Fault) -> None:
    """It answers nothing, and later everything."""
    async with on.redis_held:
        with standing_still(on.redis.process.pid):
            await asyncio.sleep(how.lasts)


async def kafka_killed(on: Stage, how: Fault) -> None:
    """Kill −9; it comes back with its logs."""
    async with on.kafka_held:
        await asyncio.to_thread(on.kafka.kill)
        await asyncio.sleep(how.lasts)
        await asyncio.to_thread(on.kafka.start)


async def kafka_still(on: Stage, how: Fault) -> None:
    """It answers nothing, and later everything, if somebody still waits."""
    async with on.kafka_held:
        with standing_still(on.kafka.process.pid):
            await asyncio.sleep(how.lasts)


async def sent_again(on: Stage, how: Fault) -> None:
    """The producer sends a range of what it has sent, with the same event ids."""
    start = int(how.pick * len(on.sender.kept))
    await on.sender.again(on.sender.kept[start : start + SENT_AGAIN])


async def set_back(on: Stage, how: Fault) -> None:
    """The group reads again from a random place on; asked for when all is folded and safe."""
    async with on.kafka_held, on.redis_held:
        count = len(on.crew.members)
        await on.crew.end_all()
        await _set_back(on, how.pick)
        for _ in range(count):
            await asyncio.to_thread(on.crew.add().service.wait_ready)


async def _set_back(on: Stage, share: float) -> None:
    """Set the group's offsets to this share of the topic."""
    places = {tp: int(end * share) for tp, end in (await on.ends()).items()}
    consumer = AIOKafkaConsumer(
        bootstrap_servers=on.kafka.servers, group_id=group_of(on.prefix), enable_auto_commit=False
    )
    await consumer.start()
    consumer.assign(on.partitions())

    async def is_done() -> bool:
        with contextlib.suppress(KafkaError):  # as long as the last member has not gone
            await consumer.commit(places)
        return await on.committed() == sum(places.values())

    try:
        await eventually_async(is_done, within=BACK_WITHIN)
    finally:
        await consumer.stop()


async def _taken_over(on: Stage, gone: Member) -> None:
    """Return once others have all partitions, and have folded on if there is anything to fold."""
    all_of_them = {f"{on.prefix}{EVENTS}/{number}" for number in PARTITIONS}
    if len(on.crew.members) == 1:
        on.crew.add()

    async def is_taken() -> bool:
        others = [one.holds() for one in on.crew.members if one is not gone and not one.has_ended]
        return all_of_them <= set().union(*others)

    await eventually_async(is_taken, within=TAKEN_OVER_WITHIN)
    before = await on.committed()

    async def has_folded() -> bool:
        return await on.committed() > before

    with contextlib.suppress(AssertionError):  # nothing was left to fold
        await eventually_async(has_folded, within=FOLDED_ON_WITHIN)


FAULTS: dict[str, Callable[[Stage, Fault], Awaitable[None]]] = {
    each.__name__: each
    for each in (
        worker_killed,
        worker_ended,
        worker_comes_and_goes,
        zombie,
        zombie_in_the_middle,
        redis_killed,
        redis_behind,
        redis_full,
        redis_still,
        kafka_killed,
        kafka_still,
        sent_again,
        set_back,
    )
}
