"""Limits of an event that its proto states in words, or about several fields."""

from __future__ import annotations

import re
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp

PRICE_LIMIT: Final = 1_000_000_000
"""Of a currency's unit, for one piece."""

SIGN_IN_OR_OUT: Final = frozenset({"identify", "logout"})

_CURRENCY: Final = re.compile(r"[A-Z]{3}")
_FIRST_SECOND: Final = -62_135_596_800
_LAST_SECOND: Final = 253_402_300_799
"""From year 1 to year 9999, as ``google.protobuf.Timestamp`` has it."""


def is_somebodys(user_id: str, visitor_id: str, action: str) -> bool:
    """Whether an event says whose it is; signing in or out takes user and visitor."""
    if action in SIGN_IN_OR_OUT:
        return bool(user_id and visitor_id)
    return bool(user_id or visitor_id)


def is_price(units: int, nanos: int, currency: str) -> bool:
    """Whether a ``google.type.Money`` is the price of one piece."""
    return (
        0 <= units <= PRICE_LIMIT
        and 0 <= nanos < 1_000_000_000
        and _CURRENCY.fullmatch(currency) is not None
    )


def micros_of(moment: Timestamp) -> int | None:
    """Microseconds since 1970; None where it is no moment that Protobuf's times can tell."""
    seconds, nanos = moment.seconds, moment.nanos
    if not (_FIRST_SECOND <= seconds <= _LAST_SECOND and 0 <= nanos < 1_000_000_000):
        return None
    return seconds * 1_000_000 + nanos // 1000
