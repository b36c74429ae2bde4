"""What a refused record becomes, so that it can be looked at, and sent again once repaired.

A letter says in the clear where the record was and why it was refused; all that somebody has
sent is sealed (:mod:`services.shared.letter_envelope`). One that is sent again keeps the time
at which it was first appended, by which its age is judged: what was in time then is in time.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from services.shared.event import Event
from services.shared.subject import event_key

_SHOP: Final = re.compile(r"([a-z0-9][a-z0-9-]{0,62})/")
_PERSON: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}/[uv]:[^\x00-\x1f\x7f{}]{1,128}")
"""The key of a record, as far as an event's proto allows one."""

_LONGEST_KEY: Final = 63 + len("/u:") + 4 * 128
"""Bytes."""

Headers = Sequence[tuple[str, bytes | None]]


class Origin(NamedTuple):
    """Where a record was read. ``topic_id`` is Kafka's own, "" where it is not known."""

    topic: str
    topic_id: str
    partition: int
    offset: int


class Whose(NamedTuple):
    """Whom a record is about, as far as can be told."""

    shop_id: str
    """"" where that is not told."""
    people: tuple[bytes, ...]
    """``shop_id/subject``: none, one, or two where key and value do not agree."""


class Refused(NamedTuple):
    """A record that was refused."""

    origin: Origin
    appended: int
    """When it was first appended, in milliseconds since 1970."""
    key: bytes | None
    value: bytes | None
    headers: Headers
    code: str
    reason: str
    whose: Whose


class DeadLetter(NamedTuple):
    """A record for the topic ``dead-letters``."""

    key: bytes | None
    value: bytes
    headers: list[tuple[str, bytes]]


def whose(key: bytes | None, event: Event | None) -> Whose:
    """Whom a record is about: whom its key names, and whom its event, where that can be read."""
    text = "" if key is None or len(key) > _LONGEST_KEY else key.decode("utf-8", "replace")
    shop = _SHOP.match(text)
    named = [key] if key and "\ufffd" not in text and _PERSON.fullmatch(text) else []
    if event is None:
        return Whose(shop[1] if shop else "", tuple(named))
    named.append(event_key(event.shop_id, event.subject))
    return Whose(event.shop_id, tuple(dict.fromkeys(named)))
