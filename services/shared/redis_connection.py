"""Talk to Redis in pipelines: many commands, one round trip, over a connection we can name.

``WAITAOF`` speaks of what *its own connection* wrote. A pooled client may swap connections
between two calls without a word, and the wait would then promise nothing; so a connection
is an object of its own here, and whoever waits holds the one that wrote.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final, Protocol, TypeAlias

import hiredis
from redis.asyncio.connection import AbstractConnection, ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError

from services.shared.errors import BadSetting, RedisUnavailable

Command: TypeAlias = tuple[str | bytes | int, ...]
Reply: TypeAlias = object

DEADLINE_SECONDS: Final = 5.0

_PASSING = ("OOM", "LOADING", "READONLY", "MASTERDOWN", "MISCONF", "CLUSTERDOWN", "TRYAGAIN",
            "NOREPLICAS", "BUSY", "UNKILLABLE", "ERR MAX NUMBER OF CLIENTS")  # fmt: skip


class Redis(Protocol):
    """Where commands go."""

    async def ask(
        self, commands: Sequence[Command], *, within: float = DEADLINE_SECONDS
    ) -> list[Reply]:
        """Send all commands at once; answer their replies in order, within seconds.

        Raises RedisUnavailable if Redis cannot be reached, is late, or cannot serve for
        now (out of memory, loading, read-only); then any part of the commands may have
        been done. Raises ResponseError for a command that is wrong in itself.
        """
        ...


class RedisConnection:
    """One connection, opened when first asked and again after an error. One ask at a time."""

    def __init__(self, url: str) -> None:
        """``url`` as in ``redis://[[user]:password@]host:port/db``, ``rediss://`` for TLS.

        Raises BadSetting for one that redis-py cannot read; it is not repeated, as it may
        hold a password.
        """
        try:
            pool = ConnectionPool.from_url(
                url,
                socket_connect_timeout=DEADLINE_SECONDS,
                socket_timeout=None,  # an ask has one deadline for all its replies
                retry=Retry(NoBackoff(), 0),
            )
            self._connection: AbstractConnection = pool.make_connection()  # type: ignore[no-untyped-call]  # untyped in redis-py
        except (ValueError, TypeError) as error:
            raise BadSetting(f"the URL of Redis cannot be read: {error}") from error
        self._turn = asyncio.Lock()
        self._opened = 0

    @property
    def is_open(self) -> bool:
        """Whether it was opened and not closed since; the other side may be gone all the same."""
        return bool(self._connection.is_connected)

    @property
    def opened(self) -> int:
        """How often it was opened: the same number before and after means no break between."""
        return self._opened

    async def ask(
        self, commands: Sequence[Command], *, within: float = DEADLINE_SECONDS
    ) -> list[Reply]:
        """See :class:`Redis`."""
        async with self._turn:
            try:
                async with asyncio.timeout(within):
                    replies = await self._exchange(commands)
            except (RedisError, OSError, TimeoutError) as error:
                await self.close()
                raise RedisUnavailable(
                    f"Redis: {str(error) or f'no answer in {within:.3g} s'}"
                ) from error
            except BaseException:
                await self.close()
                raise
        for reply in replies:
            if isinstance(reply, RedisError):
                raise _meaning(reply)
        return replies

    async def close(self) -> None:
        """Close the connection; a later ask opens it again."""
        await self._connection.disconnect(nowait=True)

    async def _exchange(self, commands: Sequence[Command]) -> list[Reply]:
        connection = self._connection
        if not connection.is_connected:
            self._opened += 1
            await connection.connect()  # type: ignore[no-untyped-call]  # untyped in redis-py
        # hiredis packs in C; redis-py's own packing was a large part of a batch.
        packed = [hiredis.pack_command(command) for command in commands]  # type: ignore[arg-type]  # its stub means a tuple of one
        await connection.send_packed_command(packed, check_health=False)
        replies: list[Reply] = []
        for _ in commands:
            try:
                replies.append(await connection.read_response(disable_decoding=True))
            except ResponseError as error:
                replies.append(error)
        return replies


class RedisPool:
    """At most ``size`` connections, for callers that ask side by side.

    Only for what may be asked twice: where a connection turns out to be gone, as all are
    after a restart of Redis, the same is asked again on a new one.
    """

    def __init__(self, url: str, *, size: int = 4) -> None:
        self._free: asyncio.LifoQueue[RedisConnection] = asyncio.LifoQueue()
        for _ in range(size):
            self._free.put_nowait(RedisConnection(url))
        self._size = size

    async def ask(
        self, commands: Sequence[Command], *, within: float = DEADLINE_SECONDS
    ) -> list[Reply]:
        """See :class:`Redis`; ``within`` covers the wait for a free connection as well."""
        begun = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(within):
                connection = await self._free.get()
        except TimeoutError as error:
            raise RedisUnavailable(f"Redis: no free connection in {within} s") from error
        try:
            was_open = connection.is_open
            try:
                return await connection.ask(commands, within=_left(begun, within))
            except RedisUnavailable:
                left = _left(begun, within)
                if not was_open or connection.is_open or left <= 0:
                    raise
                return await connection.ask(commands, within=left)
        finally:
            self._free.put_nowait(connection)

    async def close(self) -> None:
        """Wait until all connections are free, and close them."""
        for _ in range(self._size):
            await (await self._free.get()).close()


def _left(begun: float, within: float) -> float:
    """What is left of ``within`` seconds since ``begun``."""
    return within - (asyncio.get_running_loop().time() - begun)


def _meaning(error: RedisError) -> Exception:
    text = str(error)
    name = type(error).__name__
    if text.upper().startswith(_PASSING) or not isinstance(error, ResponseError):
        return RedisUnavailable(f"Redis: {text}")
    if name in ("OutOfMemoryError", "BusyLoadingError", "ReadOnlyError", "MasterDownError"):
        return RedisUnavailable(f"Redis: {name}: {text}")
    return error
