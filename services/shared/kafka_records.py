"""Read records whose header names are not UTF-8, as Kafka's own Java client does.

The protocol says that a header's name is UTF-8; brokers do not look, and clients in C let
anything through. aiokafka raises UnicodeDecodeError, again at each fetch, so that one such
record would end every consumer of its partition for good. Here the rest of its batch is
read once more, slowly, with ``�`` for what cannot be decoded.

What this leans on in aiokafka 0.14 beyond its documentation: the name ``MemoryRecords`` in
``aiokafka.consumer.fetcher``, ``PartitionRecords._consumer_record`` there, and
``_DefaultRecordBatchPy`` with its ``_maybe_uncompress`` and ``_buffer``. A test fails when they
change.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any, Final, SupportsIndex

from aiokafka.consumer import fetcher
from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.memory_records import MemoryRecords

LENGTH: Final = struct.Struct(">i")
LENGTH_AT: Final = 8
BEFORE_LENGTH: Final = 12
"""Bytes of a batch that its length does not count: base offset and the length itself."""

MAGIC_AT: Final = 16
WITH_HEADERS: Final = 2
"""The first format of batches whose records have headers."""


def accept_any_header_name() -> None:
    """Have all consumers of this process read on behind such a record. May be called again."""
    fetcher.MemoryRecords = Records


def hand_out_records_as_they_are() -> None:
    """Have all consumers of this process hand out what aiokafka's reader in C has made.

    It has key, value, headers, offset, timestamp and timestamp type, and saves a second object
    of eleven fields for each record, half of the time that reading takes.
    """
    fetcher.PartitionRecords._consumer_record = _as_it_is


def _as_it_is(_: Any, __: Any, record: Any) -> Any:
    return record


class Records:
    """The batches of one partition that came with one fetch."""

    def __init__(self, data: bytes) -> None:
        self._batches = MemoryRecords(data)
        self._data = memoryview(data)
        self._at = 0

    def size_in_bytes(self) -> int:
        """Of what was fetched."""
        return int(self._batches.size_in_bytes())

    def has_next(self) -> bool:
        """Whether there is another whole batch."""
        return bool(self._batches.has_next())

    def next_batch(self) -> Any:
        """The next batch, as aiokafka's own class would answer it."""
        batch = self._batches.next_batch()
        (length,) = LENGTH.unpack_from(self._data, self._at + LENGTH_AT)
        raw = self._data[self._at : self._at + BEFORE_LENGTH + length]
        self._at += len(raw)
        return Batch(batch, raw) if raw[MAGIC_AT] >= WITH_HEADERS else batch


class Batch:
    """A batch; everything but its iteration is aiokafka's."""

    def __init__(self, batch: Any, raw: memoryview) -> None:
        self._batch = batch
        self._raw = raw

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __next__(self) -> Any:
        return next(self._batch)

    def __iter__(self) -> Iterator[Any]:
        done_to = -1
        try:
            for record in self._batch:
                done_to = record.offset
                yield record
        except UnicodeDecodeError:
            yield from (r for r in _leniently(self._raw) if r.offset > done_to)


def _leniently(raw: memoryview) -> Iterator[Any]:
    batch = _DefaultRecordBatchPy(raw)
    batch._maybe_uncompress()
    batch._buffer = _Lenient(batch._buffer)
    return iter(batch)


class _Lenient(bytearray):
    """Bytes whose parts decode as text whatever they hold."""

    def __getitem__(self, at: SupportsIndex | slice) -> Any:
        found = super().__getitem__(at)
        return _Lenient(found) if isinstance(found, bytearray) else found

    def decode(self, encoding: str = "utf-8", _: str = "strict") -> str:
        """As UTF-8, with ``�`` where it is none."""
        return super().decode(encoding, "replace")
