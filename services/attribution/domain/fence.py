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


class Fence(NamedTuple):
    """As the store keeps it: ``17 <topic id>:120 <topic id>:3500``; "" where nothing is counted."""

    number: int
    log: Place
    events: Place

    @property
    def text(self) -> str:
        """For the store."""
        return " ".join([str(self.number), *(f"{place[0]}:{place[1]}" for place in self[1:])])


def read_fence(text: str) -> Fence:
    """The fence of a text that the store has kept."""
    if not text:
        return Fence(0, Place("", 0), Place("", 0))
    number, *places = text.split(" ")
    log, events = (Place(topic_id, int(at)) for topic_id, _, at in map(_split, places))
    return Fence(int(number), log, events)


def _split(place: str) -> tuple[str, str, str]:
    return place.rpartition(":")
