"""Talk to Redis in pipelines: many commands, one round trip, over a connection we can name.

``WAITAOF`` speaks of what *its own connection* wrote. A pooled client may swap connections
between two calls without a word, and the wait would then promise nothing; so a connection
is an object of its own here, and whoever waits holds the one that wrote.

redis-py connects, with all that takes (TLS, passwords, host names); from then on the socket is
ours, as its own reading costs a coroutine for each reply, and a stream's a turn of the loop.
What this leans on beyond its documentation: ``_writer`` of its asyncio connection. Tests fail
when that changes.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any, Final, Protocol, TypeAlias

import hiredis
from redis.asyncio.connection import ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import InvalidResponse, RedisError, ResponseError
from redis.maint_notifications import MaintNotificationsConfig

from services.shared.errors import BadSetting, RedisUnavailable

Command: TypeAlias = tuple[str | bytes | int, ...]
Reply: TypeAlias = object

DEADLINE_SECONDS: Final = 5.0

NOT_A_SERVER: Final = (
    "Redis is a cluster, of which its URL names one node as if that were all; the URL must begin "
    "with redis+cluster:// or rediss+cluster://"
)
_CLUSTER_SAYS: Final = ("MOVED ", "ASK ", "CROSSSLOT ")

_MORE: Final = object()
"""What hiredis answers where the rest of a reply has not come yet."""

_PASSING = ("OOM", "LOADING", "READONLY", "MASTERDOWN", "MISCONF", "CLUSTERDOWN", "TRYAGAIN",
            "NOREPLICAS", "BUSY", "UNKILLABLE", "MAX NUMBER OF CLIENTS")  # fmt: skip


class Redis(Protocol):
    """Where commands go."""

    @property
    def is_cluster(self) -> bool:
        """Whether the keys of one command must lie in one slot."""
        ...

    async def ask(
        self, commands: Sequence[Command], *, within: float = DEADLINE_SECONDS
    ) -> list[Reply]:
        """Send all commands at once; answer their replies in order, within seconds.

        Raises RedisUnavailable if Redis cannot be reached, is late, or cannot serve for
        now (out of memory, loading, read-only); then any part of the commands may have
        been done. Raises ResponseError for a command that is wrong in itself.
        """
        ...


class Connection(Redis, Protocol):
    """Where commands go by connections that are held open."""

    async def close(self) -> None:
        """Let go of them; a later ask opens them again."""
        ...


class ConnectionBroke(RedisUnavailable):
    """A connection that was open has ended; asked again, on a new one, Redis may answer."""


class RedisConnection:
    """One connection, opened when first asked and again after an error.

    Whoever asks while others wait for their replies does not wait for them: commands go out
    at once, and Redis answers in order.
    """

    is_cluster: Final[bool] = False

    def __init__(self, url: str) -> None:
        """``url`` as in ``redis://[[user]:password@]host:port/db``, ``rediss://`` for TLS.

        Raises BadSetting for one that redis-py cannot read; it is not repeated, as it may
        hold a password.
        """
        try:
            self._factory = ConnectionPool.from_url(
                url,
                socket_connect_timeout=DEADLINE_SECONDS,
                socket_timeout=None,  # an ask has one deadline for all its replies
                retry=Retry(NoBackoff(), 0),
                # Some services would send word of their maintenance between replies.
                maint_notifications_config=MaintNotificationsConfig(enabled=False),
            )
            self._factory.make_connection()  # type: ignore[no-untyped-call]  # untyped in redis-py
        except (ValueError, TypeError) as error:
            raise BadSetting(f"the URL of Redis cannot be read: {error}") from error
        self._opening = asyncio.Lock()
        self._line: _Line | None = None
        self._opened = 0

    @property
    def is_open(self) -> bool:
        """Whether it was opened and not closed since; the other side may be gone all the same."""
        return self._line is not None

    @property
    def opened(self) -> int:
        """How often it was opened: the same number before and after means no break between."""
        return self._opened

    async def ask(
        self, commands: Sequence[Command], *, within: float = DEADLINE_SECONDS
    ) -> list[Reply]:
        """See :class:`Redis`."""
        replies = await self.exchange(commands, within=within)
        for reply in replies:
            if isinstance(reply, RedisError):
                raise self.meaning_of(reply)
        return replies

    async def exchange(
        self, commands: Sequence[Command], *, within: float = DEADLINE_SECONDS
    ) -> list[Reply]:
        """As ``ask``, but a command's error stands as a ResponseError in its reply's place."""
        line = was_open = self._line
        try:
            async with asyncio.timeout(within):
                line = self._line or await self._open()
                return await line.exchange(commands) if commands else []
        except (RedisError, OSError, TimeoutError) as error:
            await self._drop(line)
            reason = f"Redis: {str(error) or f'no answer in {within:.3g} s'}"
            raise (ConnectionBroke if was_open else RedisUnavailable)(reason) from error
        except BaseException:
            await self._drop(line)
            raise

    async def close(self) -> None:
        """Close the connection; a later ask opens it again. Who waits gets RedisUnavailable."""
        await self._drop(self._line)

    def meaning_of(self, error: RedisError) -> Exception:
        """What an error reply says: BadSetting where this is one node of a cluster."""
        if str(error).startswith(_CLUSTER_SAYS):
            return BadSetting(NOT_A_SERVER)
        return meaning_of(error)

    async def _open(self) -> _Line:
        async with self._opening:
            if self._line is None:
                self._opened += 1
                connection: Any = self._factory.make_connection()  # type: ignore[no-untyped-call]  # untyped in redis-py
                try:
                    await connection.connect()
                except BaseException:
                    await connection.disconnect(nowait=True)
                    raise
                self._line = _Line(connection)
            return self._line

    async def _drop(self, line: _Line | None) -> None:
        """Close ``line``; where another one was opened since, that one stays."""
        if line is None:
            return
        if self._line is line:
            self._line = None
        await line.close()


class _Line(asyncio.Protocol):
    """An open connection: commands go out, replies go to those who wait, in order."""

    def __init__(self, connection: Any) -> None:
        """``connection`` is redis-py's, connected; what comes from now on comes here."""
        self._connection = connection
        self._transport: asyncio.Transport = connection._writer.transport
        self._reader = hiredis.Reader(
            protocolError=InvalidResponse, replyError=_error, notEnoughData=_MORE
        )
        self._waiting: deque[tuple[asyncio.Future[list[Reply]], int, list[Reply]]] = deque()
        self._has_room = asyncio.Event()
        """Set while the operating system takes what we write."""
        self._has_room.set()
        self._transport.set_protocol(self)

    async def exchange(self, commands: Sequence[Command]) -> list[Reply]:
        """The replies to ``commands``. Raises ConnectionError once it is closed."""
        if self._transport.is_closing():
            raise ConnectionError("the connection was closed")
        # hiredis packs in C; redis-py's own packing was a large part of a batch.
        packed = b"".join([hiredis.pack_command(command) for command in commands])  # type: ignore[arg-type]  # its stub means a tuple of one
        future: asyncio.Future[list[Reply]] = asyncio.get_running_loop().create_future()
        self._waiting.append((future, len(commands), []))
        self._transport.write(packed)
        await self._has_room.wait()
        return await future

    async def close(self) -> None:
        """Close it. Whoever waits gets ConnectionError."""
        self._end(ConnectionError("the connection was closed"))
        await self._connection.disconnect(nowait=True)

    def data_received(self, data: bytes) -> None:
        """Hand over what is whole; see asyncio.Protocol."""
        try:
            self._reader.feed(data)
            while (reply := self._reader.gets()) is not _MORE:
                if not isinstance(reply, hiredis.PushNotification):  # it answers nobody
                    self._hand_over(reply)
        except InvalidResponse as error:
            self._end(error)
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        lost = exc if isinstance(exc, OSError) else None
        self._end(lost or ConnectionError("Redis has closed the connection"))

    def pause_writing(self) -> None:
        """See asyncio.Protocol."""
        self._has_room.clear()

    def resume_writing(self) -> None:
        """See asyncio.Protocol."""
        self._has_room.set()

    def _hand_over(self, reply: Reply) -> None:
        if not self._waiting:
            raise InvalidResponse("a reply that nobody asked for")
        future, count, replies = self._waiting[0]
        replies.append(reply)
        if len(replies) == count:
            self._waiting.popleft()
            if not future.done():
                future.set_result(replies)

    def _end(self, error: Exception) -> None:
        self._has_room.set()
        while self._waiting:
            future = self._waiting.popleft()[0]
            if not future.done():
                future.set_exception(error)
                future.exception()  # whoever asked may have failed before it came to wait


def _error(text: str) -> ResponseError:
    """An error reply, without the code that says nothing."""
    return ResponseError(text.removeprefix("ERR "))


def meaning_of(error: RedisError) -> Exception:
    """What an error reply says to our callers: RedisUnavailable where it will pass, or itself."""
    text = str(error)
    name = type(error).__name__
    if text.upper().startswith(_PASSING) or not isinstance(error, ResponseError):
        return RedisUnavailable(f"Redis: {text}")
    if name in ("OutOfMemoryError", "BusyLoadingError", "ReadOnlyError", "MasterDownError"):
        return RedisUnavailable(f"Redis: {name}: {text}")
    return error
