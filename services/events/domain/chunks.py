"""Judged events in portions that are written, and remembered, together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from services.events.domain.admission import admit
from services.events.domain.record import Record
from services.events.domain.rows import Made, Row
from services.shared.errors import EventRefused
from services.shared.event_age import AgeRule

CHUNK_ROWS: Final = 1_000
CHUNK_BYTES: Final = 1 << 20
"""Of the records of one chunk, after which it is closed."""

ANY_AGE: Final = AgeRule(None)


class Reject(NamedTuple):
    """A row that does not get in, and why."""

    row: Row
    code: str
    reason: str


@dataclass(slots=True)
class Chunk:
    """What follows one another in a file, and is whole: no order goes on behind it."""

    records: list[Record] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    rows: int = 0
    last: int = 0
    """The number of its last row."""
    read: int = 0
    """How many bytes of the file were read up to its end."""
    size: int = 0
    """Bytes of its records."""

    def add(self, made: Made, *, shop_id: str, now: int) -> None:
        """Judge an event as the worker does, of any age, by ``now`` in microseconds."""
        self.rows += len(made.rows)
        self.last, self.read = made.rows[-1].number, made.rows[-1].read
        try:
            if isinstance(made.event, EventRefused):
                raise made.event
            record = admit(made.event, shop_id=shop_id, now=now, age=ANY_AGE)
        except EventRefused as refusal:
            self.rejects += [Reject(row, refusal.code, str(refusal)) for row in made.rows]
        else:
            self.records.append(record)
            self.size += len(record.key) + len(record.value)

    @property
    def is_full(self) -> bool:
        """Whether it is to be closed."""
        return self.rows >= CHUNK_ROWS or self.size >= CHUNK_BYTES

    @property
    def refused(self) -> Counter[str]:
        """Its refused rows by code."""
        return Counter(reject.code for reject in self.rejects)


def chunks(some: Iterable[Made], *, shop_id: str, now: int) -> Iterator[Chunk]:
    """All of ``some`` in order; the last chunk may be small, none is empty."""
    chunk = Chunk()
    for made in some:
        chunk.add(made, shop_id=shop_id, now=now)
        if chunk.is_full:
            yield chunk
            chunk = Chunk()
    if chunk.rows:
        yield chunk
