"""Trying again while an outside system is away."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import structlog
from prometheus_client import Counter

from services.shared.errors import Unavailable

LONGEST_PAUSE_SECONDS: Final = 5.0

RETRIES = Counter("retries_total", "What was tried again, also at start, by why.", ["code"])

T = TypeVar("T")

_log = structlog.get_logger()


async def insist(
    attempt: Callable[[], Awaitable[T]],
    *,
    doing: str,
    giving_up: Callable[[], bool] = lambda: False,
    failing: Callable[[bool], None] = lambda _: None,
) -> T:
    """Repeat ``attempt`` while an outside system is away, with growing, random pauses.

    Another error is not for us to repeat and passes through; so does Unavailable once
    ``giving_up``. ``failing`` is told True when the first try has failed, and False at the end.
    """
    tries = 0
    try:
        while True:
            try:
                return await attempt()
            except Unavailable as error:
                if giving_up():
                    raise
                failing(True)
                RETRIES.labels(error.code).inc()
                pause = min(LONGEST_PAUSE_SECONDS, 0.1 * 2**tries) * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, keeps no secret
                tries = min(tries + 1, 10)
                _log.warning(
                    "trying_again",
                    doing=doing,
                    code=error.code,
                    reason=str(error),
                    pause_seconds=pause,
                )
                await asyncio.sleep(pause)
    finally:
        if tries:
            failing(False)
