"""Wait until Redis has written to disk what one connection wrote."""

from __future__ import annotations

from typing import Final, Protocol

import structlog
from redis.exceptions import ResponseError

from services.shared.errors import RedisUnavailable
from services.shared.redis_connection import RedisConnection

WAIT_MILLISECONDS: Final = 5_000
"""With ``appendfsync everysec`` Redis needs up to a second."""

CANNOT: Final = ("unknown command", "waitaof cannot be used when numlocal is set but appendonly")
"""How Redis says that it never will: older than 7.2, or without an append-only file. Anything
else, such as that it is a replica just now, may be otherwise after a failover."""

_log = structlog.get_logger()


class Durability(Protocol):
    """Tells when writes are safe; ``begin``, write, ``wait``."""

    async def begin(self) -> int:
        """Before the writes: a mark to wait with. Raises RedisUnavailable."""
        ...

    async def wait(self, mark: int) -> None:
        """Return once all writes since ``mark`` outlive a crash of Redis.

        Raises RedisUnavailable if they may not; then they have to be made again.
        """
        ...


class MemoryDurability:
    """The fake: what is in memory is as safe as it gets."""

    async def begin(self) -> int:
        """See :class:`Durability`."""
        return 0

    async def wait(self, mark: int) -> None:
        """See :class:`Durability`."""


class RedisDurability:
    """``WAITAOF 1 0`` where Redis has it (7.2) and keeps an append-only file."""

    def __init__(self, connection: RedisConnection) -> None:
        """``connection`` is the one that writes, as WAITAOF speaks of no other."""
        self._connection = connection
        self._waits = False
        self._asked_of = 0
        """Which connection: another may lead to another server, with other settings."""

    async def begin(self) -> int:
        """See :class:`Durability`; the mark is which connection it is."""
        if not self._asked_of or self._asked_of != self._connection.opened:
            self._waits = await self._can_wait()
            self._asked_of = self._connection.opened
        return self._connection.opened

    async def wait(self, mark: int) -> None:
        """See :class:`Durability`."""
        if not self._waits:
            return
        (reply,) = await self._connection.ask(
            [("WAITAOF", 1, 0, WAIT_MILLISECONDS)], within=WAIT_MILLISECONDS / 1000 + 1
        )
        if self._connection.opened != mark:
            raise RedisUnavailable("Redis: the connection broke between a write and its WAITAOF")
        if not isinstance(reply, list) or reply[0] != 1:
            raise RedisUnavailable(f"Redis: not on disk after {WAIT_MILLISECONDS} ms")

    async def _can_wait(self) -> bool:
        try:
            await self._connection.ask([("WAITAOF", 1, 0, 1)])
        except ResponseError as error:
            if not str(error).lower().startswith(CANNOT):
                raise RedisUnavailable(f"Redis: WAITAOF: {error}") from error
            _log.warning(
                "redis_cannot_confirm_writes",
                reason=str(error),
                meaning="a crash of Redis may lose profile updates whose events are committed; "
                "use Redis 7.2 or newer with appendonly yes",
            )
            return False
        return True
