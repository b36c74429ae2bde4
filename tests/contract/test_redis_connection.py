"""One connection to a real Redis, and a pool of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Final
from urllib.parse import urlsplit

import pytest
import uvloop
from redis.exceptions import ResponseError

from deploy.local.redis import EmbeddedRedis
from services.shared.errors import BadSetting, RedisUnavailable
from services.shared.redis_connection import Command, RedisConnection
from services.shared.redis_pool import RedisPool
from tests.waiting import eventually_async


@pytest.fixture
async def connection(redis_url: str) -> AsyncIterator[RedisConnection]:
    opened = RedisConnection(redis_url)
    yield opened
    await opened.close()


async def until_somebody_waits(url: str) -> None:
    """Until Redis says that a client waits for something to come into a list."""
    looking = RedisConnection(url)

    async def does() -> bool:
        (told,) = await looking.ask([("INFO", "clients")])
        return b"blocked_clients:0" not in str(told).encode()

    await eventually_async(does, within=30)
    await looking.close()


async def test_who_asks_does_not_wait_for_others(own_redis: EmbeddedRedis) -> None:
    """Replies go to those who asked, in order; when the connection ends, all are told."""
    connection = RedisConnection(own_redis.url)
    asked = [connection.ask([("ECHO", n), ("ECHO", -n)]) for n in range(50)]
    replies = await asyncio.gather(*asked)
    assert replies == [[b"%d" % n, b"%d" % -n] for n in range(50)]
    slow = [asyncio.create_task(connection.ask([("BLPOP", "nothing", 30)])) for _ in range(3)]
    await until_somebody_waits(own_redis.url)
    own_redis.kill()
    for task in slow:
        with pytest.raises(RedisUnavailable):
            await task
    await connection.close()


def test_writing_to_what_the_loop_has_closed(redis_url: str) -> None:
    """uvloop, which services run on, raises RuntimeError for that; it is Redis being away."""

    async def ask() -> None:
        connection = RedisConnection(redis_url)
        await connection.ask([("PING",)])
        assert connection._line is not None
        connection._line._connection._writer.transport.abort()
        with pytest.raises(RedisUnavailable, match="closed"):
            await connection.ask([("PING",)])
        assert await connection.ask([("PING",)]) == [b"PONG"]
        await connection.close()

    uvloop.run(ask())


async def test_who_fails_does_not_close_what_was_opened_since(redis_url: str) -> None:
    """A late failure of the old connection leaves the new one alone."""
    connection = RedisConnection(redis_url)
    await connection.ask([("PING",)])
    slow = [asyncio.create_task(connection.ask([("BLPOP", "nothing", 30)])) for _ in range(3)]
    await until_somebody_waits(redis_url)
    await connection.close()
    assert await connection.ask([("PING",)]) == [b"PONG"]
    for task in slow:
        with pytest.raises(RedisUnavailable):
            await task
    assert await connection.ask([("PING",)]) == [b"PONG"]
    assert connection.opened == 2
    await connection.close()


async def test_an_error_among_replies(connection: RedisConnection, shop_id: str) -> None:
    """It stands in its place; ``ask`` raises it once all replies are there."""
    commands: list[Command] = [("SET", shop_id, "x"), ("INCR", shop_id), ("GET", shop_id)]
    done, error, found = await connection.exchange(commands)
    assert (done, found) == (b"OK", b"x")
    assert isinstance(error, ResponseError)
    with pytest.raises(ResponseError, match="not an integer"):
        await connection.ask(commands)
    assert await connection.ask([("GET", shop_id)]) == [b"x"]


async def test_redis_that_does_not_answer_in_time(own_redis: EmbeddedRedis) -> None:
    """A stopped clock on the other side ends at the deadline, not never."""
    connection = RedisConnection(own_redis.url)
    with pytest.raises(RedisUnavailable, match=r"0\.2 s"):
        await connection.ask([("BLPOP", "nothing", 30)], within=0.2)
    assert await connection.ask([("PING",)]) == [b"PONG"]
    await connection.close()


async def test_a_pool_after_redis_was_started_anew(own_redis: EmbeddedRedis) -> None:
    """Its connections are all gone; nobody who asks has to notice."""
    pool = RedisPool(own_redis.url, size=3)
    await asyncio.gather(*(pool.ask([("BLPOP", "nothing", "0.1")]) for _ in range(3)))
    own_redis.kill()
    with pytest.raises(RedisUnavailable):
        await pool.ask([("PING",)])
    own_redis.start()
    for _ in range(3):
        assert await pool.ask([("PING",)]) == [b"PONG"]
    await pool.close()


@pytest.mark.parametrize("url", ["redis://h:notaport/0", "redis://h?no_such=1"])
def test_a_url_that_cannot_be_read(url: str) -> None:
    """It is a setting that cannot work, and its password is not repeated."""
    with pytest.raises(BadSetting, match="the URL of Redis cannot be read") as caught:
        RedisConnection(url.replace("//", "//:secret@"))
    assert "secret" not in str(caught.value)


async def test_pool_waits_no_longer_than_told(redis_url: str) -> None:
    """With every connection in use, a caller is refused at its deadline."""
    pool = RedisPool(redis_url, size=1)
    slow = asyncio.create_task(pool.ask([("BLPOP", "nothing-here", 1)]))
    await until_somebody_waits(redis_url)
    with pytest.raises(RedisUnavailable, match="no free connection"):
        await pool.ask([("PING",)], within=0.05)
    await slow
    assert await pool.ask([("PING",)]) == [b"PONG"]
    await pool.close()


PUSHED: Final = b">3\r\n+MIGRATING\r\n:1\r\n:30\r\n"


async def served(url: str, *, before: bytes) -> tuple[asyncio.Server, list[bytes]]:
    """Redis, behind a server that says it can tell of its maintenance, and does.

    ``before`` each of the real server's replies but the first ones, which are to a greeting.
    """
    heard: list[bytes] = []
    there = urlsplit(url)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        real_reader, real_writer = await asyncio.open_connection(there.hostname, there.port)
        while asked := await reader.read(65_536):
            heard.append(asked)
            real_writer.write(asked)
            replied = await real_reader.read(65_536)
            writer.write((b"" if b"HELLO" in asked or b"CLIENT" in asked else before) + replied)
        real_writer.close()
        writer.close()

    return await asyncio.start_server(serve, "127.0.0.1", 0), heard


async def test_what_redis_tells_unasked_answers_nobody(redis_url: str, shop_id: str) -> None:
    """Each gets the reply to what it asked; and the connection asks to be told nothing."""
    server, heard = await served(redis_url, before=PUSHED)
    port = server.sockets[0].getsockname()[1]
    connection = RedisConnection(f"redis://127.0.0.1:{port}")
    assert await connection.ask([("SET", shop_id, "x")]) == [b"OK"]
    assert await connection.ask([("GET", shop_id), ("PING",)]) == [b"x", b"PONG"]
    assert connection.opened == 1
    assert b"MAINT_NOTIFICATIONS" not in b"".join(heard).upper()
    await connection.close()
    server.close()


async def test_a_reply_that_nobody_asked_for(redis_url: str, shop_id: str) -> None:
    """Whose it is nobody knows: the connection is closed."""
    server, _ = await served(redis_url, before=b"+OK\r\n")
    port = server.sockets[0].getsockname()[1]
    connection = RedisConnection(f"redis://127.0.0.1:{port}")
    assert await connection.ask([("SET", shop_id, "x")]) == [b"OK"]

    async def is_closed() -> bool:
        line = connection._line
        return line is None or line._transport.is_closing()

    await eventually_async(is_closed, within=30)
    await connection.close()
    server.close()
