"""From the text of a cell to what it says: moments, prices, whole numbers."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final
from zoneinfo import ZoneInfo

from services.events.domain.mapping import Time
from services.shared.errors import EventRefused

ROW_INVALID: Final = "ROW_INVALID"
"""The code of a row that cannot be read as what its columns are said to hold."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_TO_MICROS: Final = {"unix": 1_000_000, "unix_ms": 1_000, "unix_us": 1}
_WHOLE: Final = re.compile(r"-?[0-9]{1,9}")
_UNIX: Final = re.compile(r"-?[0-9]{1,17}")
_PRICE: Final = re.compile(r"([0-9]{1,10})(?:[.,]([0-9]{1,9}))?")


def refuse(name: str, text: str, what: str) -> EventRefused:
    """The refusal of a cell, for the caller to raise."""
    return EventRefused(ROW_INVALID, f"{name}: {text[:100]!r} {what}", fields=((name, what),))


def moment_reader(time: Time) -> Callable[[str], int]:
    """A function from a cell to microseconds since 1970; it raises EventRefused."""
    if (micros := _TO_MICROS.get(time.format)) is not None:
        return lambda text: _unix(text, micros)
    zone = ZoneInfo(time.zone) if time.zone else None
    if time.format == "iso":
        return lambda text: _micros(text, _iso(text), zone)
    return lambda text: _micros(text, _patterned(text, time.format), zone)


def _unix(text: str, micros: int) -> int:
    if not _UNIX.fullmatch(text):
        raise refuse("occurred_at", text, "is not a whole number since 1970")
    return int(text) * micros


def _iso(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise refuse("occurred_at", text, "is not a time such as 2026-03-01T09:30:00Z") from error


def _patterned(text: str, pattern: str) -> datetime:
    try:
        return datetime.strptime(text, pattern)
    except ValueError as error:
        raise refuse("occurred_at", text, f"is not of the form {pattern!r}") from error


def _micros(text: str, moment: datetime, zone: tzinfo | None) -> int:
    """An hour that a clock shows twice is taken for the first of the two."""
    if moment.tzinfo is None:
        if zone is None:
            raise refuse("occurred_at", text, "does not say where; set time.zone in the mapping")
        moment = moment.replace(tzinfo=zone)
    return (moment - _EPOCH) // _MICROSECOND


def whole_number(name: str, text: str) -> int:
    """A cell such as ``12``. Raises EventRefused."""
    if not _WHOLE.fullmatch(text):
        raise refuse(name, text, "is not a whole number of at most nine digits")
    return int(text)


def price(text: str, decimal: str) -> tuple[int, int]:
    """Units and billionths of a cell such as ``12.50``, exactly. Raises EventRefused.

    Separators of thousands, signs and currency marks are refused, not guessed at.
    """
    found = _PRICE.fullmatch(text)
    other = "," if decimal == "." else "."
    if found is None or other in text:
        raise refuse("unit_price", text, f"is not an amount such as 12{decimal}50")
    return int(found[1]), int((found[2] or "").ljust(9, "0"))
