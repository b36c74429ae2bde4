"""Several connections to Redis, for callers that ask side by side."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from services.shared.errors import RedisUnavailable
from services.shared.redis_connection import (
    DEADLINE_SECONDS,
    Command,
    Connection,
    ConnectionBroke,
    RedisConnection,
    Reply,
)


class RedisPool:
    """At most ``size`` connections, for callers that ask side by side.

    Only for what may be asked twice: where a connection turns out to be gone, as all are
    after a restart of Redis, the same is asked again on a new one.
    """

    def __init__(
        self, url: str, *, size: int = 4, connect: Callable[[str], Connection] = RedisConnection
    ) -> None:
        self._free: asyncio.LifoQueue[Connection] = asyncio.LifoQueue()
        connections = [connect(url) for _ in range(size)]
        for each in connections:
            self._free.put_nowait(each)
        self._size = size
        self.is_cluster: Final = connections[0].is_cluster

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
            try:
                return await connection.ask(commands, within=_left(begun, within))
            except ConnectionBroke:
                left = _left(begun, within)
                if left <= 0:
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
