"""Arms that a guard has stopped, as attribution tells of them through Redis.

Answers never wait for this. What was heard once stays, also while Redis is away, or when it has
lost what it was told: an arm that did harm must not come back by an accident. Only a server that
is started while Redis is away knows nothing of it until Redis is back; so the shop's document
should say ``stopped`` before long.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

import structlog
from prometheus_client import Counter, Gauge

from services.recommendations.domain.policies import Policies
from services.shared.errors import AttuneError
from services.shared.redis_connection import Command, Redis
from services.shared.stopped_arms import StoppedArm, stopped_arms_of
from services.shared.subject import stopped_arms_redis_key

EVERY_SECONDS: Final = 1.0
"""Between two looks."""
DEADLINE_SECONDS: Final = 1.0

FAILURES = Counter("stopped_arms_read_failures_total", "Readings of stopped arms that failed.")
STOPPED = Gauge(
    "experiment_arms_stopped",
    "Arms of a running experiment that are served as the control's, as a guard has stopped them.",
    ["shop", "experiment"],
)

_log = structlog.get_logger()


class StoppedArms:
    """Keeps ``policies`` told of stopped arms; lives as long as the server."""

    def __init__(
        self, redis: Redis, policies: Policies, *, shops: Callable[[], Sequence[str]]
    ) -> None:
        """``shops`` are those that the server answers for; who has no experiment is not read."""
        self._redis = redis
        self._policies = policies
        self._shops = shops
        self._known: dict[tuple[str, bytes], StoppedArm] = {}
        self._shown: set[tuple[str, str]] = set()
        self._is_failing = False

    async def run(self) -> None:
        """Look every second until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(EVERY_SECONDS)

    async def look(self) -> None:
        """Take what is new, and show it; where that cannot be read, what is known goes on."""
        shops = [shop for shop in self._shops() if self._policies.scenarios(shop).experiments]
        try:
            await self._read(shops)
            self._is_failing = False
        except Exception as error:  # whatever it is, it must not end a server that answers
            FAILURES.inc()
            if not self._is_failing:
                code = error.code if isinstance(error, AttuneError) else "UNEXPECTED"
                _log.warning("stopped_arms_not_read", code=code, message=str(error))
            self._is_failing = True
        self._show(shops)

    async def _read(self, shops: Sequence[str]) -> None:
        commands: list[Command] = [("HGETALL", stopped_arms_redis_key(shop)) for shop in shops]
        if not commands:
            return
        replies = await self._redis.ask(commands, within=DEADLINE_SECONDS)
        for shop_id, reply in zip(shops, replies, strict=True):
            self._take(shop_id, stopped_arms_of(reply))

    def _take(self, shop_id: str, told: Sequence[StoppedArm]) -> None:
        new = [each for each in told if (shop_id, each.field) not in self._known]
        if not new:
            return
        self._policies.stop(shop_id, frozenset((each.experiment, each.arm) for each in new))
        for each in new:
            self._known[shop_id, each.field] = each
            _log.warning(
                "arm_stopped",
                shop_id=shop_id,
                experiment=each.experiment,
                arm=each.arm,
                harm=each.harm,
            )

    def _show(self, shops: Sequence[str]) -> None:
        counts = {
            (shop_id, each.name): sum(
                (shop_id, f"{each.name}/{arm.name}".encode()) in self._known for arm in each.arms
            )
            for shop_id in shops
            for each in self._policies.scenarios(shop_id).experiments
        }
        for gone in self._shown - counts.keys():
            STOPPED.remove(*gone)
        self._shown = set(counts)
        for names, count in counts.items():
            STOPPED.labels(*names).set(count)
