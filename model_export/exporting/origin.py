"""What a manifest says of the data that a bundle was made from, and how it was split."""

from __future__ import annotations

from datetime import UTC, datetime

from model_export.dataset import Source


def origin(source: Source) -> dict[str, str | int]:
    """The part of a manifest's ``created_from`` that is about the data."""
    by_time = source.held_out_from > 0
    return {
        "data": source.name,
        "sha256": source.sha256,
        "rows": source.rows_kept,
        "first": moment(source.first_at),
        "last": moment(source.last_at),
        "split": source.split,
        "validation_from": (
            moment(source.validation_from) if by_time else "each user's last but one"
        ),
        "held_out_from": moment(source.held_out_from) if by_time else "each user's last",
    }


def moment(microseconds: int) -> str:
    """A time since 1970 as ISO 8601 in UTC, to the second."""
    return datetime.fromtimestamp(microseconds / 1_000_000, tz=UTC).isoformat(timespec="seconds")
