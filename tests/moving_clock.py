"""A clock for tests of what takes time."""

from __future__ import annotations


class MovingClock:
    """Goes on only when something takes time."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        """Seconds; only their differences count."""
        return self.now

    def taking(self, seconds: float) -> str:
        """Something that takes so long, and finds something."""
        self.now += seconds
        return "found"
