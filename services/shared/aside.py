"""Work that may take long, in a thread beside the event loop.

Not asyncio's own threads: a process waits for those when it ends, and a call to a store that does
not come back would hold up its stop.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")


class _Outcome(NamedTuple, Generic[T]):
    """What a thread has come to: one of the two."""

    found: T | None
    error: Exception | None


class Aside:
    """One thing at a time: who asks for more while it is still at the last is told so."""

    def __init__(self, name: str) -> None:
        """``name`` is the thread's, to be found in a dump."""
        self._name = name
        self._is_busy = False

    async def do(self, job: Callable[[], T], *, within: float) -> T:
        """What ``job`` answers or raises. Nothing of the event loop's may be changed by it.

        Raises TimeoutError after so many seconds, and at once while the last job is not back: then
        it goes on, and what becomes of it is dropped.
        """
        if self._is_busy:
            raise TimeoutError(f"{self._name}: the last call has not come back")
        loop = asyncio.get_running_loop()
        done: asyncio.Future[_Outcome[T]] = loop.create_future()

        def settle(outcome: _Outcome[T]) -> None:
            self._is_busy = False
            if not done.done():
                done.set_result(outcome)

        def work() -> None:
            try:
                outcome: _Outcome[T] = _Outcome(job(), None)
            except Exception as error:  # raised where it is waited for
                outcome = _Outcome(None, error)
            with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(settle, outcome)

        self._is_busy = True
        threading.Thread(target=work, name=self._name, daemon=True).start()
        async with asyncio.timeout(within):
            outcome = await done
        if outcome.error is not None:
            raise outcome.error
        return outcome.found  # type: ignore[return-value]  # without an error it is there
