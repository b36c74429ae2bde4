"""Which topics are archived, and how a record of each becomes a row.

A table's folder is named like its topic, without the prefix.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from services.shared.archive_rows import Row
from services.shared.event_age import first_appended
from services.shared.event_codec import Record, decode_event


class Table(NamedTuple):
    """A topic in the archive."""

    name: str
    row: Callable[[Record], Row]
    """Raises EventRefused for a record that is none of the topic's."""


def event_row(record: Record) -> Row:
    """The row of a record of shopper events.

    Its age is not judged: what is too old for a profile today is so by a setting, and both
    times are in the row for whoever reads it to judge. Raises EventRefused.
    """
    key, headers, appended = record.key, record.headers, record.timestamp
    event = decode_event(key, record.value, headers)
    first = first_appended(appended, headers) if headers else appended
    return Row(record.offset, appended, first, key or b"", event)


TABLES: Final = (Table("shopper-events", event_row), Table("shopper-history", event_row))
