"""What attribution keeps of a person: a trail, and letters to it that have not arrived.

Sums that the person is part of stay; nobody can be told in them.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, Final, cast

import msgspec

from services.shared.personal_data import AT_ONCE, Entry, Person
from services.shared.redis_connection import Command, Redis
from services.shared.sealing import MasterKey
from services.shared.subject import (
    ATTRIBUTION_PARTITIONS_REDIS_KEY,
    attribution_fence_redis_key,
    trail_dues_redis_key,
    trail_inbox_redis_key,
    trail_redis_key,
)
from services.shared.trail import Act, Cancel, Exposure, Shown, Trail, read_trail

FORGET: Final = """
redis.call('DEL', KEYS[1])
redis.call('ZREM', KEYS[2], ARGV[1])
local begins = ARGV[1] .. string.char(10)
for _, letter in ipairs(redis.call('LRANGE', KEYS[3], 0, -1)) do
  if letter:sub(1, #begins) == begins then redis.call('LREM', KEYS[3], 0, letter) end
end
local number, places = (redis.call('GET', KEYS[4]) or ''):match('^(%d+)( .*)$')
if number then redis.call('SET', KEYS[4], string.format('%d', number + 1) .. places) end
return 1
"""
"""KEYS: trail, dues, inbox, fence. ARGV: the trail's name. The fence gets another number, so that a
batch which has read the trail before does not write it again."""

_SHA: Final = hashlib.sha1(FORGET.encode(), usedforsecurity=False).hexdigest()


class TrailPersons:
    """A :class:`PersonalStore` over the trails of all partitions."""

    places: Final = frozenset({"trail_redis_key", "trail_dues_redis_key", "trail_inbox_redis_key"})

    def __init__(self, redis: Redis, master: MasterKey) -> None:
        self._redis = redis
        self._master = master

    async def find(self, person: Person) -> bool:
        """See :class:`PersonalStore`. What is on its way to a trail is found with it."""
        begins = self._name(person) + b"\n"
        for partition in await self._partitions():
            trail, letters = await self._redis.ask(
                [
                    ("EXISTS", trail_redis_key(partition, self._pseudonym(person))),
                    ("LRANGE", trail_inbox_redis_key(partition), 0, -1),
                ]
            )
            if trail or any(each.startswith(begins) for each in cast("list[bytes]", letters)):
                return True
        return False

    async def export(self, person: Person) -> AsyncGenerator[Entry, None]:
        """See :class:`PersonalStore`. Letters on their way are told once they have arrived."""
        for partition in await self._partitions():
            key = trail_redis_key(partition, self._pseudonym(person))
            (found,) = await self._redis.ask([("GET", key)])
            if found:
                yield _told(read_trail(cast("bytes", found)))

    async def erase(self, person: Person) -> timedelta:
        """See :class:`PersonalStore`."""
        for partition in await self._partitions():
            keys = [
                trail_redis_key(partition, self._pseudonym(person)),
                trail_dues_redis_key(partition),
                trail_inbox_redis_key(partition),
                attribution_fence_redis_key(partition),
            ]
            commands: list[Command] = [
                ("SCRIPT", "LOAD", FORGET),
                ("EVALSHA", _SHA, len(keys), *keys, self._name(person)),
            ]
            await self._redis.ask(commands)
        return AT_ONCE

    async def _partitions(self) -> list[int]:
        (found,) = await self._redis.ask([("SMEMBERS", ATTRIBUTION_PARTITIONS_REDIS_KEY)])
        return sorted(int(number) for number in cast("Iterable[bytes]", found))

    def _pseudonym(self, person: Person) -> bytes:
        return self._master.pseudonym(person.name)

    def _name(self, person: Person) -> bytes:
        return f"{person.shop_id}/{self._pseudonym(person).hex()}".encode()


def _told(trail: Trail) -> Entry:
    """What is in a trail, without the hashes that mean nothing to anybody."""
    return {
        "kind": "trail",
        "lists": [_list(each) for each in trail.shown],
        "acts": [_act(each) for each in trail.acts],
        "cancels": [_cancel(each) for each in trail.cancels],
        "experiments": [_exposure(each) for each in trail.exposures],
        "touches": len(trail.touches),
    }


def _list(shown: Shown) -> dict[str, Any]:
    return {
        "at": _moment(shown.at),
        **msgspec.structs.asdict(shown.labels),
        "products": len(shown.products),
        "seen": len(shown.seen),
        "clicked": len(shown.clicked),
    }


def _act(act: Act) -> dict[str, Any]:
    lines = [(line.product_id, line.quantity, line.amount, line.currency) for line in act.lines]
    return {"at": _moment(act.at), "kind": act.kind, "lines": lines, "spent": act.spent}


def _cancel(cancel: Cancel) -> dict[str, Any]:
    return {"at": _moment(cancel.at), "lines": cancel.lines}


def _exposure(exposure: Exposure) -> dict[str, Any]:
    return {
        "experiment": exposure.experiment,
        "arm": exposure.arm,
        "since": _moment(exposure.at),
        "last": _moment(exposure.last),
    }


def _moment(at: int) -> str:
    return datetime.fromtimestamp(at / 1_000_000, UTC).isoformat()
