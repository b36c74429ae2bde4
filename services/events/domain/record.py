"""An event on its way into Kafka, and what became of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Record(NamedTuple):
    """What is appended to a topic."""

    key: bytes
    value: bytes
    headers: Sequence[tuple[str, bytes]] = ()


class Position(NamedTuple):
    """Where a record is. ``topic_id`` is Kafka's own: a topic made anew has another."""

    topic_id: str
    partition: int
    offset: int


class Unacknowledged(NamedTuple):
    """Kafka has not said that it has the record, which may be there all the same."""

    reason: str
