"""Talk to a Redis Cluster as to one Redis: each command goes to the node that has its key.

Commands of one ask go out at once, to each node its own in one pipeline, and the replies come
back in the caller's order. A command whose key another one of the same ask has, too, waits for
that one's reply; so commands of one key are done in order, whatever is sent again in between.
Nothing is promised of the order of commands with different keys.

What a node refuses unread is sent again: to where the slot has moved (MOVED, ASK), or a little
later (TRYAGAIN, where only one of a script's keys has moved yet, CLUSTERDOWN, and LOADING from
a node that was started anew). What may have been done is never sent again from here: where a
connection breaks, the caller is told.

``SCRIPT LOAD`` has no key. It goes ahead to each node that other commands of the same ask go
to, also to the one that a command is sent to again; alone, to all. Whoever calls a script loads
it in the same ask.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Final

from redis.exceptions import RedisError, ResponseError

from services.shared.errors import RedisUnavailable
from services.shared.redis_connection import (
    DEADLINE_SECONDS,
    Command,
    Connection,
    ConnectionBroke,
    RedisConnection,
    Reply,
    meaning_of,
)
from services.shared.redis_pool import RedisPool
from services.shared.redis_routing import SlotMap, is_cluster, keys_of, slot_of

MOVES: Final = 8
"""So often one command is sent on; beyond it the nodes do not agree."""

FIRST_PAUSE_SECONDS: Final = 0.005
LONGEST_PAUSE_SECONDS: Final = 0.2

_ASKING: Final[Command] = ("ASKING",)
_LATER: Final = frozenset(("TRYAGAIN", "CLUSTERDOWN", "LOADING"))
_DONE: Final = ("", "", "")
_NO_REPLY: Final = -1


class NodeConnection(RedisConnection):
    """A connection to one node: a slot that it does not have is no mistake, but will pass."""

    def meaning_of(self, error: RedisError) -> Exception:
        """See :meth:`RedisConnection.meaning_of`."""
        if str(error).startswith(("MOVED ", "ASK ")):
            return RedisUnavailable(f"Redis Cluster: {error}")
        return meaning_of(error)


class RedisCluster:
    """A connection to each node, opened when first asked and again after an error."""

    is_cluster: Final[bool] = True

    def __init__(self, slots: SlotMap) -> None:
        """``slots`` may be shared with other connections to the same cluster."""
        self.slots = slots
        self.strays = 0
        """How often a command went to a node that had no slots yet, as its first was moving."""
        self._connections: dict[str, NodeConnection] = {}

    def to(self, node: str) -> RedisConnection:
        """The connection to one node, ``host:port``; always the same one."""
        found = self._connections.get(node)
        if found is None:
            found = self._connections[node] = NodeConnection(self.slots.url.of(node))
        return found

    async def ask(
        self, commands: Sequence[Command], *, within: float = DEADLINE_SECONDS
    ) -> list[Reply]:
        """See :class:`Redis`. Raises ValueError for a command that only one server can do."""
        asked = _Asked(commands)
        try:
            async with asyncio.timeout(within):
                await self.slots.load()
                if not asked.pending:
                    await self._tell_all(asked)
                while asked.pending:
                    await self._round(asked, within)
        except asyncio.CancelledError:
            self.slots.suspect()
            raise
        except TimeoutError as error:
            self.slots.suspect()
            reason = asked.refusal or f"no answer in {within:.3g} s"
            raise RedisUnavailable(f"Redis Cluster: {reason}") from error
        for reply in asked.replies:
            if isinstance(reply, RedisError):
                raise meaning_of(reply)
        return asked.replies

    async def close(self) -> None:
        """Close all connections; a later ask opens them again."""
        for each in self._connections.values():
            await each.close()

    async def _tell_all(self, asked: _Asked) -> None:
        """Send what has no key to every primary."""
        for node in self.slots.primaries if asked.loads else ():
            await self._send(asked, node, [], DEADLINE_SECONDS)

    async def _round(self, asked: _Asked, within: float) -> None:
        """Send what can go now, and see what has to be sent again."""
        groups: defaultdict[str, list[int]] = defaultdict(list)
        for place in asked.take():
            node = asked.named.get(place)
            if node is None:
                node = self.slots.primary_of(asked.slots[place])
            elif node not in self.slots.primaries:
                self.strays += 1
            if node is None:
                asked.refuse(place, "CLUSTERDOWN no node has the slot")
            else:
                groups[node].append(place)
        sent = await asyncio.gather(
            *(self._send(asked, node, places, within) for node, places in groups.items()),
            return_exceptions=True,
        )
        await self._see(dict(zip(groups, sent, strict=True)))
        await self._redirect(asked)

    async def _send(self, asked: _Asked, node: str, places: list[int], within: float) -> None:
        pipeline = asked.pipeline(places)
        commands = [command for _, command in pipeline]
        replies = await self.to(node).exchange(commands, within=within)
        for (place, _), reply in zip(pipeline, replies, strict=True):
            if place != _NO_REPLY:
                asked.take_in(place, reply, node)

    async def _see(self, outcomes: dict[str, BaseException | None]) -> None:
        """Raise what went wrong, once the map no longer counts on a node that is gone."""
        failed = {node: error for node, error in outcomes.items() if error is not None}
        for error in failed.values():
            if not isinstance(error, RedisUnavailable):
                raise error
        if failed:
            with contextlib.suppress(RedisUnavailable):  # that is what we raise anyway
                await self.slots.refresh(gone=next(iter(failed)))
            # Where a connection was open before, all may be well on a new one.
            raise min(failed.values(), key=lambda error: not isinstance(error, ConnectionBroke))

    async def _redirect(self, asked: _Asked) -> None:
        """Learn what the refusals say, and wait where they say to try again."""
        moves, asked.moves = asked.moves, []
        if moves:
            await self.slots.moved(moves)
        if asked.waits:
            asked.waits = False
            if not asked.refusal.startswith("TRYAGAIN"):
                await self.slots.refresh()
            await asyncio.sleep(asked.next_pause())


class _Asked:
    """One ask on its way: what is still to be sent, and the replies that have come."""

    def __init__(self, commands: Sequence[Command]) -> None:
        self._commands = commands
        self._keys = [keys_of(command) for command in commands]
        self.slots = [slot_of(keys[0]) if keys else _NO_REPLY for keys in self._keys]
        self.loads = [place for place, keys in enumerate(self._keys) if not keys]
        self.pending = [place for place, keys in enumerate(self._keys) if keys]
        self.replies: list[Reply] = [None] * len(commands)
        self.named: dict[int, str] = {}
        """Which node to ask this once, after an ASK."""
        self.moves: list[str] = []
        """Slots and nodes of the MOVED that have come."""
        self.waits = False
        self.refusal = ""
        """The last one."""
        self._moved: Counter[int] = Counter()
        self._pause = FIRST_PAUSE_SECONDS

    def take(self) -> list[int]:
        """What can be sent now: of each key the first that is pending."""
        now: list[int] = []
        later: list[int] = []
        seen: set[bytes] = set()
        for place in sorted(self.pending):
            keys = self._keys[place]
            (now if seen.isdisjoint(keys) else later).append(place)
            seen.update(keys)
        self.pending = later
        return now

    def pipeline(self, places: list[int]) -> list[tuple[int, Command]]:
        """What one node is sent, each command with its place, if its reply is wanted."""
        pipeline = [(place, self._commands[place]) for place in self.loads]
        for place in places:
            if self.named.pop(place, None) is not None:
                pipeline.append((_NO_REPLY, _ASKING))
            pipeline.append((place, self._commands[place]))
        return pipeline

    def take_in(self, place: int, reply: Reply, node: str) -> None:
        """Keep the reply, or have the command sent again. Raises RedisUnavailable beyond MOVES."""
        said, _, where = str(reply).partition(" ") if isinstance(reply, ResponseError) else _DONE
        if said in ("MOVED", "ASK"):
            slot, _, address = where.partition(" ")
            if address.startswith(":"):  # the same host, another port
                address = node.rpartition(":")[0] + address
            self._send_on(place, said, slot, address)
        elif said in _LATER and self._keys[place]:
            self.refuse(place, str(reply))
        else:
            self.replies[place] = reply

    def refuse(self, place: int, reason: str) -> None:
        """Have the command sent again after a pause."""
        self.refusal = reason
        self.waits = True
        self.pending.append(place)

    def next_pause(self) -> float:
        """Seconds; each longer than the one before."""
        pause = self._pause
        self._pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
        return pause

    def _send_on(self, place: int, said: str, slot: str, address: str) -> None:
        self.refusal = f"{said} {slot} {address}"
        if said == "ASK":
            self.named[place] = address
        else:
            self._moved[place] += 1
            if self._moved[place] > MOVES:
                raise RedisUnavailable(f"Redis Cluster: sent on {MOVES} times; {self.refusal}")
            self.moves.append(f"{slot} {address}")
        self.pending.append(place)


def connect(url: str) -> Connection:
    """A connection to the server, or to each node of the cluster. Raises BadSetting."""
    return RedisCluster(SlotMap(url)) if is_cluster(url) else RedisConnection(url)


def redis_pool(url: str, *, size: int) -> RedisPool:
    """``size`` connections to the server or the cluster of a URL. Raises BadSetting."""
    if not is_cluster(url):
        return RedisPool(url, size=size)
    slots = SlotMap(url)
    return RedisPool(url, size=size, connect=lambda _: RedisCluster(slots))
