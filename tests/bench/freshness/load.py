"""Sends events, and looks for them where they should be: the control, Redis, the shop's answers.

Every event is another shopper's, so each can be looked for by its profile's key. What looks takes
processor time from what it looks at, so it is the same at all rates: some hundreds in a second are
looked for, and a few of them in answers, too, as asking costs more than a look at a key.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Final, NamedTuple

from aiokafka import AIOKafkaProducer

from services.shared.redis_connection import RedisConnection
from services.shared.subject import event_key, profile_redis_key
from tests.bench.freshness.control import Control
from tests.bench.freshness.shop import SHOP, Shop
from tests.profile_events import Event, key_of, view
from tests.waiting import eventually_async

TOPIC: Final = "shopper-events"
LOOKED_FOR: Final = 500
"""Keys in one look, the oldest first."""

LOOKED_FOR_A_SECOND: Final = 500
EACH_MS: Final = 1.0
"""Between two looks, and between two times of sending: no figure is finer."""

ASKED_A_SECOND: Final = 20
IDLE_SECONDS: Final = (0.3, 2.0)
"""Before a newcomer's event: any part of the time that a fetch waits for one."""

LAST_SECONDS: Final = 60.0


class Steady(NamedTuple):
    """Milliseconds from sending, of those looked for, and of those that were asked for."""

    control: Sequence[float]
    profile: Sequence[float]
    answer: Sequence[float]


class Newcomer(NamedTuple):
    """Milliseconds from sending of the first event of a producer, after nobody sent anything."""

    acknowledged: float
    control: float
    profile: float


class Load:
    """A shop's events, and where they are seen."""

    def __init__(self, servers: str, redis: RedisConnection, control: Control, shop: Shop) -> None:
        self._servers = servers
        self._redis = redis
        self._control = control
        self._shop = shop

    async def at(self, rate: int, seconds: int) -> Steady:
        """Send ``rate`` events a second by one producer."""
        looking = _Looking(self._redis)
        asking: list[tuple[str, asyncio.Task[float]]] = []
        sent: dict[str, float] = {}
        async with AIOKafkaProducer(bootstrap_servers=self._servers, acks="all") as producer:
            begun = time.perf_counter()
            for number in range(rate * seconds):
                wait = begun + number / rate - time.perf_counter()
                if wait > EACH_MS / 1000:
                    await asyncio.sleep(wait)
                event = _view(f"{rate}-{number}")
                user = event["userId"]
                if number % max(1, rate // LOOKED_FOR_A_SECOND) == 0:
                    sent[user] = time.perf_counter()
                    looking.after(user)
                await producer.send(TOPIC, json.dumps(event).encode(), key=key_of(event))
                if number % (rate // ASKED_A_SECOND) == 0:
                    asking.append((user, asyncio.create_task(self._shop.seen(user))))
            there = await looking.end()
        answered = {user: await task for user, task in asking}
        return Steady(
            _took(sent, await self._seen_by_control(list(sent))),
            _took(sent, there),
            _took(sent, answered),
        )

    async def newcomer(self, number: int) -> Newcomer:
        """After a while without events, one by a producer that has sent none before."""
        await asyncio.sleep(random.uniform(*IDLE_SECONDS))
        event = _view(f"new-{number}")
        user = event["userId"]
        looking = _Looking(self._redis)
        async with AIOKafkaProducer(
            bootstrap_servers=self._servers, acks="all", enable_idempotence=True
        ) as producer:
            looking.after(user)
            sent = time.perf_counter()
            await producer.send_and_wait(TOPIC, json.dumps(event).encode(), key=key_of(event))
            acknowledged = time.perf_counter()
            there = await looking.end()
        seen = await self._seen_by_control([user])
        return Newcomer(*((at - sent) * 1000 for at in (acknowledged, seen[user], there[user])))

    async def _seen_by_control(self, users: Sequence[str]) -> dict[str, float]:
        seen = self._control.seen

        async def all_there() -> bool:
            return all(f"e{user}" in seen for user in users)

        await eventually_async(all_there, within=LAST_SECONDS)
        return {user: seen[f"e{user}"] for user in users}


class _Looking:
    """Looks all the time for the profiles of users."""

    def __init__(self, redis: RedisConnection) -> None:
        self._redis = redis
        self._missing: dict[str, None] = {}
        self._there: dict[str, float] = {}
        self._none_left = asyncio.Event()
        self._task = asyncio.create_task(self._look())

    def after(self, user: str) -> None:
        """Look for this one, too."""
        self._missing[user] = None

    async def end(self) -> dict[str, float]:
        """Once all are there: when each was."""
        self._none_left.clear()
        async with asyncio.timeout(LAST_SECONDS):
            await self._none_left.wait()
        self._task.cancel()
        return self._there

    async def _look(self) -> None:
        while True:
            users = list(islice(self._missing, LOOKED_FOR))
            keys = [profile_redis_key(event_key(SHOP, f"u:{user}")) for user in users]
            found = await self._redis.ask([("EXISTS", key) for key in keys]) if keys else []
            now = time.perf_counter()
            for user, is_there in zip(users, found, strict=True):
                if is_there:
                    self._there[user] = now
                    del self._missing[user]
            if not self._missing:
                self._none_left.set()
            await asyncio.sleep(EACH_MS / 1000)


def _view(name: str) -> Event:
    user = f"{name}-{time.time_ns()}"
    return view(user, user=user, at=datetime.now(UTC))


def _took(sent: Mapping[str, float], seen: Mapping[str, float]) -> list[float]:
    return [(at - sent[user]) * 1000 for user, at in seen.items()]
