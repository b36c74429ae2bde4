"""Wait on a condition, with a deadline: what tests do instead of sleeping."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

PAUSE = 0.02


def eventually(condition: Callable[[], T], *, within: float) -> T:
    """Ask ``condition`` until it answers something true, at most ``within`` seconds.

    Returns that answer; raises AssertionError with the last one.
    """
    deadline = time.monotonic() + within
    while not (answer := condition()):
        assert time.monotonic() < deadline, f"not within {within} s; last answer: {answer!r}"
        time.sleep(PAUSE)
    return answer


async def eventually_async(condition: Callable[[], Awaitable[T]], *, within: float) -> T:
    """Like :func:`eventually`, for a condition that is awaited."""
    deadline = time.monotonic() + within
    while not (answer := await condition()):
        assert time.monotonic() < deadline, f"not within {within} s; last answer: {answer!r}"
        await asyncio.sleep(PAUSE)
    return answer
