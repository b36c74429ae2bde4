"""Events of an import are written some at a time."""

from __future__ import annotations

from datetime import UTC, datetime

from services.events.domain.chunks import CHUNK_ROWS, chunks
from tests.import_parts import line, made, view

NOON = int(datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp()) * 1_000_000


def test_chunks_are_bounded_and_in_order() -> None:
    """Each ends where an event ends."""
    rows = [view(n) for n in range(CHUNK_ROWS - 1)] + [line(1, n) for n in range(3)] + [view(1)]
    first, second = chunks(made(rows), shop_id="demo", now=NOON)
    assert (first.rows, first.last, len(first.records)) == (CHUNK_ROWS + 2, CHUNK_ROWS + 2, 1_000)
    assert (second.rows, second.last, len(second.records)) == (1, CHUNK_ROWS + 3, 1)
