"""``python -m services.profiles rebuild``: make all profiles again, and switch over to them."""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from datetime import timedelta
from functools import partial
from typing import Final, NamedTuple, cast

import structlog

from services.profiles.adapters.durability import Durability
from services.profiles.adapters.past import (
    Past,
    archived_events,
    is_taken,
    past_of,
    person_of,
    silences_of,
    topic_events,
)
from services.profiles.adapters.rebuilt import RebuiltProfiles
from services.profiles.domain.fold import addition
from services.profiles.domain.silence import NEVER, Known, Silences
from services.profiles.domain.trend import Placed
from services.profiles.folding import Folding
from services.profiles.settings import Settings
from services.shared.archive_reader import ArchiveReader
from services.shared.archive_rows import Archived
from services.shared.errors import BadInput, Unavailable
from services.shared.event_age import AgeRule
from services.shared.profile_generations import Generations, change, read_generations
from services.shared.redis_connection import Command, Redis
from services.shared.sealing import MasterKey
from services.shared.subject import GENERATION_REDIS_KEY, profile_redis_key
from services.shared.trying import insist

COMMAND: Final = "rebuild"
SCANNED: Final = 1_000
"""Keys at once, of profiles that nobody reads any more."""

Say = Callable[[str], None]

_log = structlog.get_logger()
Nodes = Callable[[], Awaitable[Sequence[Redis]]]
"""Each server that has profiles, to be asked for its keys."""

Advance = Callable[[int], None]
"""Told of so many more events that are folded."""


class Parts(NamedTuple):
    """What a rebuild works with."""

    settings: Settings
    redis: Redis
    nodes: Nodes
    durability: Durability
    """Of the connection that ``redis`` is."""
    reader: ArchiveReader
    master: MasterKey
    now_micros: Callable[[], int]


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        prog=f"python -m services.profiles {COMMAND}",
        description="Make all profiles again from the archive and from what the topics still have, "
        "beside the present ones, and switch over to them at once. Workers go on meanwhile and "
        "write both. Redis needs room for twice the profiles. May be stopped and run again, from "
        "the start; until the switch nothing changes for anybody.",
        epilog="Kafka, Redis, the master key and how profiles are kept are told by the worker's "
        "settings. After a loss of Redis start this before the workers, or with them.",
    )
    made.add_argument(
        "--archive",
        default="",
        metavar="ROOT",
        help="where services.archive keeps events; if not told, only the topics are read",
    )
    made.add_argument(
        "--give-up",
        action="store_true",
        help="do not rebuild: forget one that was begun, so that workers write one profile again",
    )
    return made


async def give_up(redis: Redis, nodes: Nodes, say: Say) -> int:
    """End a rebuild that was begun elsewhere. Raises Unavailable."""
    generations = await _generations(redis)
    if generations.making is None:
        say("no rebuild was begun")
        return 0
    await _change(redis, generations, Generations(generations.present, None))
    say(f"{await _forget(redis, nodes, generations.making):,} profiles of it are deleted")
    return 0


async def rebuild(parts: Parts, say: Say, start: Callable[[int], Advance]) -> int:
    """Do all of it; ``start`` is told how many events there are, at most.

    Raises Unavailable, and BadInput where events are missing.
    """
    present, making = await _begin(parts.redis)
    pasts = await _pasts(parts)  # and no earlier: what comes from now on workers write twice
    settings = parts.settings
    silences = await silences_of(
        pasts, parts.reader, settings.kafka_servers, parts.master, settings.profile_retention
    )
    advance = start(_events(parts, pasts))
    rebuilding = Rebuilding(parts, making, silences, advance)
    for past in pasts:
        for partition in past.archived:
            await rebuilding.fold(partial(archived_events, parts.reader, partition), past.age)
        await rebuilding.fold(partial(topic_events, settings.kafka_servers, past), past.age)
    await _change(parts.redis, Generations(present, making), Generations(making, None))
    say(f"{rebuilding.folded:,} events are folded; generation {making} is the present one")
    if parts.reader.erased:
        say(f"{parts.reader.erased:,} events of persons who were erased are left out")
    say(f"{await _forget(parts.redis, parts.nodes, present):,} profiles of before are deleted")
    return 0


class Rebuilding:
    """Folds the past into the generation that is being made."""

    def __init__(self, parts: Parts, making: int, silences: Silences, advance: Advance) -> None:
        self.folded = 0
        self._parts = parts
        self._silences = silences
        self._advance = advance
        self._folding = Folding(
            parts.settings.profile_retention, int(parts.settings.profile_layout)
        )
        self._store = RebuiltProfiles(parts.redis, making, self._milliseconds_left)

    async def fold(
        self, events: Callable[[], AsyncGenerator[list[Archived], None]], age: AgeRule
    ) -> None:
        """Fold all of ``events``, and see that it outlives a crash of Redis; else once more."""
        while True:
            mark = await insist(self._parts.durability.begin, doing="find Redis")
            count = 0
            async with aclosing(events()) as read:
                async for some in read:
                    await self._fold(some, age)
                    count += len(some)
                    self._advance(len(some))
            if await self._is_safe(mark):
                self.folded += count
                return
            self._advance(-count)

    async def _fold(self, some: Sequence[Archived], age: AgeRule) -> None:
        accepted: defaultdict[bytes, list[Placed]] = defaultdict(list)
        since: dict[bytes, int] = {}
        for each in some:
            name = each.name
            if name not in since:
                since[name] = self._known(name).since
            if each.appended >= since[name] and is_taken(each, age):
                accepted[name].append(
                    Placed(each.offset, each.first_appended, addition(each.event))
                )
        await insist(lambda: self._folding.fold_into(self._store, accepted), doing="keep profiles")

    async def _is_safe(self, mark: int) -> bool:
        try:
            await self._parts.durability.wait(mark)
        except Unavailable as error:
            _log.warning("writes_not_safe", reason=str(error), meaning="they are made once more")
            return False
        return True

    def _known(self, name: bytes) -> Known:
        """Since when; NEVER for who has been silent until now."""
        known = self._silences.of(person_of(self._parts.master, name))
        return known if self._left(known) > 0 else Known(NEVER, known.last)

    def _milliseconds_left(self, name: bytes) -> int:
        known = self._silences.of(person_of(self._parts.master, name))
        return max(1, self._left(known) // 1000)

    def _left(self, known: Known) -> int:
        retention = self._parts.settings.profile_retention // timedelta(microseconds=1)
        return known.last + retention - self._parts.now_micros()


async def _begin(redis: Redis) -> tuple[int, int]:
    """Have workers write a next generation, too; or go on with one that was begun."""
    present, making = await _generations(redis)
    if making is None:
        making = present + 1
        await _change(redis, Generations(present, None), Generations(present, making))
    return present, making


async def _pasts(parts: Parts) -> list[Past]:
    settings = parts.settings
    topics = (
        (settings.events_topic, "shopper-events", AgeRule(settings.event_age_limit)),
        (settings.history_topic, "shopper-history", AgeRule(None)),
    )
    servers = settings.kafka_servers
    return [await past_of(servers, topic, table, age, parts.reader) for topic, table, age in topics]


def _events(parts: Parts, pasts: Sequence[Past]) -> int:
    """How many offsets there are."""
    stored = sum(
        max(parts.reader.archived_up_to(each), 0) for past in pasts for each in past.archived
    )
    return stored + sum(end - first for past in pasts for first, end in past.rest.values())


async def _generations(redis: Redis) -> Generations:
    (text,) = await redis.ask([("GET", GENERATION_REDIS_KEY)])
    return read_generations(cast("bytes | None", text))


async def _change(redis: Redis, before: Generations, after: Generations) -> None:
    if not await change(redis, before, after):
        raise BadInput(
            f"{GENERATION_REDIS_KEY.decode()} is not what it was: is another rebuild at work?"
        )


async def _forget(redis: Redis, nodes: Nodes, generation: int) -> int:
    """Delete the profiles of a generation; answers how many."""
    return sum([await _forget_on(node, redis, generation) for node in await nodes()])


async def _forget_on(node: Redis, redis: Redis, generation: int) -> int:
    pattern = profile_redis_key(b"*", generation).replace(b"{*}", b"*")
    cursor, deleted = b"0", 0
    while True:
        scan: Command = ("SCAN", cursor, "MATCH", pattern, "COUNT", SCANNED)
        (found,) = await node.ask([scan])
        cursor, keys = cast("tuple[bytes, list[bytes]]", found)
        if keys:
            await redis.ask([("UNLINK", key) for key in keys])
            deleted += len(keys)
        if cursor == b"0":
            return deleted
