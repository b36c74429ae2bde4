"""When so much is refused that the topic, and not an event of it, must be broken.

A producer that writes another format, or a worker of a release that knows less, would
otherwise turn a whole topic into dead letters, which nobody wants to sort out.
"""

from __future__ import annotations

from collections import deque
from typing import Final

LOOKED_AT: Final = 10_000
"""Of the newest events, the share that was refused counts."""

AT_LEAST: Final = 1_000
"""With fewer events there is no judging."""


class RefusalLimit:
    """The newest events by how many of them were refused."""

    def __init__(self, share: float) -> None:
        """``share`` is the greatest share that may be refused; 1 stops at nothing."""
        self._share = share
        self._batches: deque[tuple[int, int]] = deque()
        self._events = 0
        self._refused = 0

    def stops(self, events: int, refused: int) -> bool:
        """Whether a batch of so many events, so many of them refused, is one too many.

        A batch that stops is not counted: it is judged anew when it comes again.
        """
        total, bad = self._events + events, self._refused + refused
        if refused and total >= AT_LEAST and bad > self._share * total:
            return True
        self._batches.append((events, refused))
        self._events, self._refused = total, bad
        while self._events - self._batches[0][0] >= LOOKED_AT:
            gone, gone_refused = self._batches.popleft()
            self._events -= gone
            self._refused -= gone_refused
        return False
