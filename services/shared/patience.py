"""A deadline for what others answer, that a loop which was busy itself does not pass for them."""

from __future__ import annotations

import asyncio
from types import TracebackType


class AnsweredWithin:
    """``async with AnsweredWithin(seconds):`` raises TimeoutError where nothing came in that time.

    Unlike :func:`asyncio.timeout` it then looks once more whether something has. After a loop has
    been held up, its timers run before it hears what came meanwhile: an answer that is there would
    count as none, and a server that is short of time would blame whom it asks.
    """

    def __init__(self, seconds: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._limit = asyncio.timeout(None)
        self._is_over = False
        self._timer = self._loop.call_later(seconds, self._hear)

    def _hear(self) -> None:
        """Let two rounds pass: in one the loop hears of it, in the other whoever waits is told."""
        self._loop.call_soon(self._loop.call_soon, self._give_up)

    def _give_up(self) -> None:
        if not self._is_over:
            self._limit.reschedule(self._loop.time())

    async def __aenter__(self) -> None:
        await self._limit.__aenter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._is_over = True
        self._timer.cancel()
        await self._limit.__aexit__(kind, error, trace)
