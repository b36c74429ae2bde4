"""Wait on a condition, with a deadline: what tests do instead of sleeping."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

PAUSE = 0.02
LOG_CHARACTERS = 20_000


def eventually(condition: Callable[[], T], *, within: float) -> T:
    """Ask ``condition`` until it answers something true, at most ``within`` seconds.

    Returns that answer; raises AssertionError with the last one.
    """
    deadline = time.monotonic() + within
    while not (answer := condition()):
        assert time.monotonic() < deadline, f"not within {within} s; last answer: {answer!r}"
        time.sleep(PAUSE)
    return answer


async def eventually_async(
    condition: Callable[[], Awaitable[T]], *, within: float, log: Path | None = None
) -> T:
    """Like :func:`eventually`, for a condition that is awaited; then shows the end of ``log``."""
    deadline = time.monotonic() + within
    while not (answer := await condition()):
        assert time.monotonic() < deadline, (
            f"not within {within} s; last answer: {answer!r}{_end_of(log)}"
        )
        await asyncio.sleep(PAUSE)
    return answer


async def turns_during(call: Awaitable[object]) -> int:
    """How often other work has its turn before a call is answered."""
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    other = asyncio.create_task(count())
    await call
    other.cancel()
    return turns


def _end_of(log: Path | None) -> str:
    return "" if log is None else f"; its log ends:\n{log.read_text()[-LOG_CHARACTERS:]}"
