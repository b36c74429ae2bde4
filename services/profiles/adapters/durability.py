"""Wait until Redis has written to disk what was written to it.

``WAITAOF`` holds up the connection that asks, so another one asks than the one that writes.
It speaks of what its own connection wrote; so it first writes a key of its own, and as the
append-only file has all writes in one order, what came before that key is on disk, too. All
who wait at once are told by one such question.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, Protocol

import structlog
from redis.exceptions import ResponseError

from services.shared.errors import RedisUnavailable
from services.shared.redis_connection import RedisConnection

WAIT_MILLISECONDS: Final = 5_000
"""With ``appendfsync everysec`` Redis needs up to a second, and longer on a slow disk."""

MARK_SECONDS: Final = 3_600
"""After so long without a write the key of ours goes."""

CANNOT: Final = ("unknown command", "waitaof cannot be used when numlocal is set but appendonly")
"""How Redis says that it never will: older than 7.2, or without an append-only file. Anything
else, such as that it is a replica just now, may be otherwise after a failover."""

LOSSES: Final = {
    ("yes", "always"): "nothing is lost by a crash: it answers after the disk has",
    ("yes", "everysec"): "a crash of Redis may lose the last two seconds",
    ("yes", "no"): "a crash of Redis may lose what its system has not yet written, about 30 s",
}
"""What may be lost without WAITAOF, by ``appendonly`` and ``appendfsync``."""

_log = structlog.get_logger()


class Server(NamedTuple):
    """Which Redis a connection leads to."""

    run_id: str
    """Another one after each start."""
    replication_id: str
    """Another one after each start and after each failover."""
    replicas: int
    """How many follow it; not those that are still given all that it holds."""
    is_primary: bool
    is_of_cluster: bool


UNKNOWN: Final = Server("", "", 0, is_primary=False, is_of_cluster=False)


def key_of_ours() -> str:
    """A key that nobody else writes."""
    return f"attune:durability:{uuid.uuid4().hex}"


class Durability(Protocol):
    """Tells when writes are safe; ``begin``, write, ``wait``."""

    @property
    def servers(self) -> Sequence[str]:
        """The replication ids of all primaries, as :meth:`begin` has just seen them."""
        ...

    async def begin(self, on: str = "") -> int:
        """Before the writes: a mark to wait with.

        ``on`` is the replication id of the Redis that they are for; "" for any. Raises
        RedisUnavailable, also where it is another one.
        """
        ...

    async def wait(self, mark: int) -> None:
        """Return once all writes since ``mark`` outlive a crash of Redis.

        Raises RedisUnavailable if they may not; then they have to be made again.
        """
        ...


class MemoryDurability:
    """The fake: what is in memory is as safe as it gets."""

    def __init__(self) -> None:
        self.replication_id = "memory"

    @property
    def servers(self) -> Sequence[str]:
        """See :class:`Durability`."""
        return (self.replication_id,)

    async def begin(self, on: str = "") -> int:
        """See :class:`Durability`."""
        require(on, self.replication_id)
        return 0

    async def wait(self, mark: int) -> None:
        """See :class:`Durability`."""


class RedisDurability:
    """``WAITAOF`` where Redis has it (7.2) and keeps an append-only file."""

    def __init__(
        self,
        writer: RedisConnection,
        asker: RedisConnection,
        *,
        replicas: int = 0,
        key: Callable[[], str] | None = None,
    ) -> None:
        """``writer`` is the connection that writes, ``asker`` another one to the same server.

        ``replicas`` is how many must have it on disk, too, of those that are connected; ``key``
        tells which key may be written for that, where not every key may.
        """
        self._writer = writer
        self._asker = asker
        self._replicas = replicas
        ours = key_of_ours()
        self._key = key or (lambda: ours)
        self._waits = False
        self._warned = ""
        self._server = UNKNOWN
        self._looked = (0, 0)
        """How often the two connections had been opened when we last asked whom they lead to."""
        self._asking = asyncio.Lock()
        self._waiting = 0
        self._told = 0
        """Of all who ever waited, how many have been told."""

    async def begin(self, on: str = "") -> int:
        """See :class:`Durability`; the mark is which connection it is."""
        are_open = self._writer.is_open and self._asker.is_open
        is_other = on not in ("", self.replication_id)
        if is_other or not are_open or self._looked != self._opened():
            await self.look()
        require(on, self.replication_id)
        return self._writer.opened

    @property
    def replication_id(self) -> str:
        """Of the server, when it was last looked at."""
        return self._server.replication_id

    @property
    def servers(self) -> Sequence[str]:
        """See :class:`Durability`."""
        return (self.replication_id,)

    async def wait(self, mark: int) -> None:
        """See :class:`Durability`."""
        if not self._waits:
            return
        self._waiting += 1
        number = self._waiting
        async with self._asking:
            if self._told < number:
                covered = self._waiting
                await self._ask()
                self._told = covered
        if self._opened() != self._looked or self._writer.opened != mark:
            raise RedisUnavailable("Redis: the connection broke between a write and its WAITAOF")

    def _opened(self) -> tuple[int, int]:
        return self._writer.opened, self._asker.opened

    async def _ask(self) -> None:
        replicas = min(self._replicas, self._server.replicas)
        _, reply = await self._asker.ask(
            [
                ("SET", self._key(), self._waiting, "EX", MARK_SECONDS),
                ("WAITAOF", 1, replicas, WAIT_MILLISECONDS),
            ],
            within=WAIT_MILLISECONDS / 1000 + 1,
        )
        if not isinstance(reply, list) or reply[0] != 1:
            raise RedisUnavailable(f"Redis: not on disk after {WAIT_MILLISECONDS} ms")
        if reply[1] < replicas:
            self._looked = (0, 0)  # perhaps it has fewer replicas now
            raise RedisUnavailable(
                f"Redis: on the disks of {reply[1]} of {replicas} replicas after "
                f"{WAIT_MILLISECONDS} ms; do they keep an append-only file?"
            )

    async def look(self) -> None:
        """See whom the connections lead to, and whether it can tell."""
        written, asked = await server_of(self._writer), await server_of(self._asker)
        if written.run_id != asked.run_id:
            await self._writer.close()
            await self._asker.close()
            raise RedisUnavailable("Redis: two connections lead to two servers; opened anew")
        self._waits = await self._can_wait()
        self._server = asked
        self._looked = self._opened()

    async def _can_wait(self) -> bool:
        try:
            await self._asker.ask([("WAITAOF", 1, 0, 1)])
        except ResponseError as error:
            if not str(error).lower().startswith(CANNOT):
                raise RedisUnavailable(f"Redis: WAITAOF: {error}") from error
            await self._warn(str(error))
            return False
        return True

    async def _warn(self, reason: str) -> None:
        """Say, once for each reason, what may be lost by what Redis is set to."""
        meaning = await loss_of(self._asker)
        if self._warned != meaning:
            self._warned = meaning
            _log.warning(
                "redis_cannot_confirm_writes",
                reason=reason,
                meaning=f"{meaning}; use Redis 7.2 or newer with appendonly yes",
            )


def require(wanted: str, found: str) -> None:
    """Raise RedisUnavailable where another Redis was found than was wanted; "" is any."""
    if wanted not in ("", found):
        raise RedisUnavailable("Redis has changed; what it may lack is read again first")


async def server_of(connection: RedisConnection) -> Server:
    """Which server a connection leads to. Raises RedisUnavailable."""
    replies = await connection.ask([("INFO", "server"), ("INFO", "replication")])
    told = dict(
        line.split(":", 1)
        for reply in replies
        for line in bytes(reply).decode().splitlines()  # type: ignore[call-overload]  # INFO answers bytes
        if ":" in line
    )
    replicas = sum(
        name.startswith("slave") and "state=online" in about for name, about in told.items()
    )
    return Server(
        told.get("run_id", ""),
        told.get("master_replid", ""),
        replicas,
        is_primary=told.get("role") == "master",
        # Redis and Valkey have different names for it.
        is_of_cluster="cluster" in (told.get("redis_mode"), told.get("server_mode")),
    )


async def loss_of(connection: RedisConnection) -> str:
    """What a crash of a Redis without WAITAOF may lose, by its settings."""
    unknown = "a crash of Redis may lose profile updates whose events are committed"
    try:
        replies = await connection.ask(
            [("CONFIG", "GET", "appendonly"), ("CONFIG", "GET", "appendfsync")]
        )
    except ResponseError:  # as managed ones do not tell
        return unknown
    only, fsync = (_setting(reply) for reply in replies)
    return LOSSES.get((only, fsync), unknown)


def _setting(reply: object) -> str:
    """The value of a ``CONFIG GET``, in either of Redis' protocols."""
    found = list(reply.values()) if isinstance(reply, dict) else list(reply)[1:]  # type: ignore[call-overload]  # else it is a list
    return found[0].decode() if found else ""
