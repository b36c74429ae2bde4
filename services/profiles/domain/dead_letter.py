"""What a refused record becomes, so that it can be looked at, and sent again once repaired.

One that is sent again keeps the time at which it was first appended, by which its age is
judged: what was in time then is in time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final, NamedTuple

from services.shared.event_age import APPENDED_AT

VALUE_KEPT: Final = 65_536
"""Bytes of the original value that are kept; the checksum is of all of them."""

REASON_KEPT: Final = 1_000
KEY_KEPT: Final = 4_096
"""Bytes of the original key that are kept: a valid one has at most 578."""

HEADERS_KEPT: Final = 65_536
"""Bytes of original headers that are kept; a record's headers have no limit of their own."""


class Origin(NamedTuple):
    """Where a record was read. ``topic_id`` is Kafka's own, "" where it is not known."""

    topic: str
    topic_id: str
    partition: int
    offset: int


class DeadLetter(NamedTuple):
    """A record for the topic ``dead-letters``."""

    key: bytes | None
    value: bytes
    headers: list[tuple[str, bytes]]


def dead_letter(
    origin: Origin,
    *,
    appended: int,
    key: bytes | None,
    value: bytes | None,
    headers: Sequence[tuple[str, bytes | None]],
    code: str,
    reason: str,
) -> DeadLetter:
    """The dead letter of a record refused with ``code`` because of ``reason``.

    ``appended`` is when it was first appended, in milliseconds since 1970.
    A record without a value gets an empty one; its ``attune_value_size`` is then -1. What is
    kept of key, value and headers stays far below the 1 MiB that a topic takes by default, so
    no record is too large to become a dead letter.
    """
    told = {
        "attune_topic": origin.topic,
        "attune_topic_id": origin.topic_id,
        "attune_partition": str(origin.partition),
        "attune_offset": str(origin.offset),
        APPENDED_AT: str(appended),
        "attune_error_code": code,
        "attune_error_reason": reason[:REASON_KEPT],
        "attune_key_size": _size(key),
        "attune_value_size": _size(value),
        "attune_value_sha256": hashlib.sha256(value or b"").hexdigest(),
    }
    ours = [(name, text.encode("utf-8", "replace")) for name, text in told.items()]
    kept_key = None if key is None else key[:KEY_KEPT]
    return DeadLetter(kept_key, (value or b"")[:VALUE_KEPT], [*ours, *_kept(headers)])


def _size(original: bytes | None) -> str:
    return str(-1 if original is None else len(original))


def _kept(headers: Sequence[tuple[str, bytes | None]]) -> list[tuple[str, bytes]]:
    """The original headers, but none in our names and not beyond the limit."""
    kept = []
    room = HEADERS_KEPT
    for name, text in headers:
        room -= len(name.encode()) + len(text or b"")
        if room < 0:
            break
        if not name.startswith("attune_"):
            kept.append((name, text or b""))
    return kept
