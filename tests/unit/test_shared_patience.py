"""A deadline that does not take a loop's own delay for somebody else's."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import uvloop

from services.shared.patience import AnsweredWithin

RUNS = [asyncio.run, uvloop.run]
Run = Callable[[Coroutine[Any, Any, bytes]], bytes]


async def read_while_held_up(seconds: float) -> bytes:
    """The answer comes at once, and the loop is held up beyond the deadline."""
    ours, theirs = socket.socketpair()
    reader, writer = await asyncio.open_connection(sock=ours)

    def held_up() -> None:
        theirs.send(b"here")
        time.sleep(2 * seconds)

    asyncio.get_running_loop().call_later(seconds / 2, held_up)
    try:
        async with AnsweredWithin(seconds):
            return await reader.readexactly(4)
    finally:
        writer.close()
        theirs.close()


@pytest.mark.parametrize("run", RUNS)
def test_an_answer_that_is_there_is_heard_however_late_the_loop_is(run: Run) -> None:
    """With asyncio's own deadline it is not."""
    assert run(read_while_held_up(0.05)) == b"here"


@pytest.mark.parametrize("run", RUNS)
def test_where_nothing_comes_it_ends(run: Run) -> None:
    """As soon as the time is over."""

    async def wait() -> bytes:
        async with AnsweredWithin(0.05):
            await asyncio.Event().wait()
        return b""

    started = time.monotonic()
    with pytest.raises(TimeoutError):
        run(wait())
    assert time.monotonic() - started >= 0.05


async def test_what_ends_in_time_is_not_told_later() -> None:
    """Neither if it ends just as the time is over: nothing is raised afterwards."""
    raised: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, what: raised.append(what))
    for seconds in (0.0, 0.001, 0.002):
        async with AnsweredWithin(seconds):
            time.sleep(0.001)  # noqa: ASYNC251 - the loop is held up
        await asyncio.sleep(0.005)
    assert not raised


async def test_a_cancelled_task_is_cancelled() -> None:
    """A caller who gives up is not answered with a deadline."""

    async def wait() -> None:
        async with AnsweredWithin(5):
            await asyncio.Event().wait()

    task = asyncio.create_task(wait())
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
