"""Up to where a partition is counted: a place in each of its topics, and how often it moved.

The number tells two fences apart that stand at the same places: one may be moved by the closing of
a window alone, or by an erasure, which stops a write that was made before it.
"""

from __future__ import annotations

from typing import NamedTuple


class Place(NamedTuple):
    """The next offset to be read, of a topic by Kafka's id."""

    topic_id: str
    offset: int

    @property
    def text(self) -> str:
        """For the store."""
        return f"{self.topic_id}:{self.offset}"


class Fence(NamedTuple):
    """As the store keeps it: ``17 <topic id>:120 <topic id>:3500``; "" where nothing is counted."""

    number: int
    log: Place
    events: Place

    @property
    def text(self) -> str:
        """For the store."""
        if not self.number:
            return ""
        return f"{self.number} {self.log.text} {self.events.text}"


def read_fence(text: str) -> Fence:
    """The fence of a text that the store has kept."""
    if not text:
        return Fence(0, Place("", 0), Place("", 0))
    number, *places = text.split(" ")
    log, events = map(_read_place, places)
    return Fence(int(number), log, events)


def _read_place(text: str) -> Place:
    topic_id, _, offset = text.rpartition(":")
    return Place(topic_id, int(offset))
