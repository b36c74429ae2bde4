"""Shopper events as rows of the archive, and back.

What names a person or was said by one is sealed, all of a row together; ids that figures need
to tell things apart by stand beside it as keyed hashes. The rest is in clear, under the names
of the proto: what was done when, in which shop, to which products, how many, for what price.

Columns are only ever added, at the end, and :data:`SCHEMA_VERSION` rises with them; a file
without one reads as null there.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from operator import add
from typing import Any, Final, NamedTuple

import msgspec
import polars as pl
from msgspec.structs import astuple

from services.shared.archive_actions import PART, Clear, Secrets, message_of
from services.shared.archive_keys import ID_BYTES, PersonKeys, PersonSeal
from services.shared.event import Event
from services.shared.event_protobuf import event_of
from services.shared.sealing import NONCE_BYTES, MasterKey, SealBroken
from services.shared.subject import event_key

SCHEMA_VERSION: Final = "1"
HASH_BYTES: Final = 8
PERSONS_KEPT: Final = 200_000
"""Shoppers whose pseudonym is remembered."""

NEVER: Final = -(2**63)

_MOMENT: Final = pl.Datetime("us", "UTC")
_LINE_FIELDS: Final[Mapping[str, Any]] = {
    "product_id": pl.String,
    "quantity": pl.Int32,
    "currency_code": pl.String,
    "units": pl.Int64,
    "nanos": pl.Int32,
}
SCHEMA: Final[Mapping[str, Any]] = {
    "topic_id": pl.String,
    "partition": pl.Int32,
    "offset": pl.Int64,
    "appended_at": _MOMENT,  # by the broker
    "first_appended_at": _MOMENT,  # the same, but for dead letters that were put back
    "occurred_at": _MOMENT,
    "shop_id": pl.String,
    "person": pl.Binary,
    "action": pl.String,
    "product_id": pl.String,
    "quantity": pl.Int32,
    "stars": pl.Int32,
    "result_count": pl.Int32,
    "product_ids": pl.List(pl.String),
    "lines": pl.List(pl.Struct(_LINE_FIELDS)),
    "event_hash": pl.Binary,
    "session_hash": pl.Binary,
    "order_hash": pl.Binary,
    "sealed": pl.Binary,  # null: the person was erased
}


class Row(NamedTuple):
    """An event on its way into a file."""

    offset: int
    appended: int
    """When the broker appended it, in milliseconds since 1970."""
    first_appended: int
    name: bytes
    """``shop_id/subject``."""
    event: Event


class Archived(NamedTuple):
    """An event of the archive."""

    partition: int
    offset: int
    appended: int
    """When the broker appended it, in microseconds since 1970."""
    first_appended: int
    """The same, but for a dead letter that was put back; by it an event's age is judged."""
    event: Event

    @property
    def name(self) -> bytes:
        """The key of the event's record, ``shop_id/subject``."""
        return event_key(self.event.shop_id, self.event.subject)


_encode = msgspec.msgpack.Encoder().encode
"""Of the fields of :class:`Secrets`, in their order."""

_decode = msgspec.msgpack.Decoder(Secrets).decode


class Person(NamedTuple):
    """What a batch of rows needs to know of a shopper."""

    pseudonym: bytes
    key: PersonSeal | None
    """None where the person was erased once: none is made again for events from before."""
    erased_at: int
    """What happened until then, in microseconds since 1970, is forgotten."""


class RowSealer:
    """Makes columns of rows; keys that are new must be saved before these are kept.

    Column by column: what a row costs in Python is most of what archiving an event costs.
    """

    def __init__(self, keys: PersonKeys, master: MasterKey) -> None:
        self._keys = keys
        self._pseudonym = master.pseudonym
        self._hashing = blake2b(digest_size=HASH_BYTES, key=master.derive("hashes of the archive"))
        self._pseudonyms: dict[bytes, bytes] = {}

    def frame(self, topic_id: str, partition: int, rows: Sequence[Row]) -> pl.DataFrame:
        """The rows as :data:`SCHEMA` has them, and a column ``day``."""
        if not rows:
            return pl.DataFrame(schema={**SCHEMA, "day": pl.String})
        columns = self._columns(rows)
        here = {"topic_id": pl.lit(topic_id), "partition": pl.lit(partition, pl.Int32)}
        return pl.DataFrame(
            [pl.Series(name, column, SCHEMA[name]) for name, column in columns.items()]
        ).select(
            *(here.get(name, pl.col(name)).alias(name) for name in SCHEMA),
            pl.col("appended_at").dt.strftime("%Y-%m-%d").alias("day"),
        )

    def _columns(self, rows: Sequence[Row]) -> dict[str, Sequence[Any] | pl.Series]:
        """All columns but those of the partition."""
        offsets, appended, first_appended, names, events = zip(*rows, strict=True)
        ids, shops, users, visitors, occurred, actions, said, sessions, tokens = zip(
            *map(astuple, events), strict=True
        )
        clear = Clear(len(rows))
        more = [
            PART[action](one, row, clear)
            for row, (action, one) in enumerate(zip(actions, said, strict=True))
        ]
        secrets = map(add, zip(ids, users, visitors, sessions, tokens, strict=True), more)
        known: dict[bytes, Person] = {}
        persons = [known.get(name) or known.setdefault(name, self._person(name)) for name in names]
        first = [at * 1000 for at in first_appended]
        return {
            "offset": offsets,
            "appended_at": [at * 1000 for at in appended],
            "first_appended_at": first,
            "occurred_at": occurred,
            "shop_id": shops,
            "person": [person.pseudonym for person in persons],
            "action": actions,
            "product_id": clear.product_id,
            "quantity": clear.quantity,
            "stars": clear.stars,
            "result_count": clear.result_count,
            "product_ids": clear.product_ids,
            "lines": _lines(clear, len(rows)),
            "event_hash": self._hashes(names, ids),
            "session_hash": self._hashes(names, sessions),
            "order_hash": self._hashes(names, [one[0] if one else "" for one in more]),
            "sealed": self._sealed(
                persons, zip(occurred, first, strict=True), map(_encode, secrets)
            ),
        }

    def _sealed(
        self,
        persons: Sequence[Person],
        moments: Iterable[tuple[int, int]],
        secrets: Iterable[bytes],
    ) -> list[bytes | None]:
        """What only a person's key opens; None where that is forgotten by any of its moments."""
        drawn = os.urandom(NONCE_BYTES * len(persons))  # one call of the system for all rows
        sealed: list[bytes | None] = []
        end = 0
        for (pseudonym, key, erased_at), told, happened in zip(
            persons, secrets, moments, strict=True
        ):
            start, end = end, end + NONCE_BYTES
            if key is None:
                if min(happened) <= erased_at:
                    sealed.append(None)
                    continue
                key = self._keys.for_sealing(pseudonym)
            sealed.append(key.id + key.seal.seal(told, about=pseudonym, nonce=drawn[start:end]))
        return sealed

    def _person(self, name: bytes) -> Person:
        pseudonym = self._pseudonyms.get(name)
        if pseudonym is None:
            if len(self._pseudonyms) >= PERSONS_KEPT:
                self._pseudonyms.clear()
            pseudonym = self._pseudonyms[name] = self._pseudonym(name)
        erased_at = self._keys.erased_at(pseudonym)
        if erased_at is not None:
            return Person(pseudonym, None, erased_at)
        return Person(pseudonym, self._keys.for_sealing(pseudonym), NEVER)

    def _hashes(self, names: Iterable[bytes], ids: Iterable[str]) -> list[bytes | None]:
        """Tell ids of one person apart, tell nobody which they are; None where there is no id."""
        begun = self._hashing.copy
        hashes: list[bytes | None] = []
        for name, one in zip(names, ids, strict=True):
            if one:
                made = begun()
                made.update(name + b"\0" + one.encode())
                hashes.append(made.digest())
            else:
                hashes.append(None)
        return hashes


def _lines(clear: Clear, rows: int) -> pl.Series:
    """The column ``lines``, [rows].

    Of flat columns: polars takes 25 times as long for dicts in lists.
    """
    flat = pl.DataFrame(clear.lines, {"row": pl.UInt32, **_LINE_FIELDS}, orient="row")
    lists = flat.group_by("row").agg(pl.struct(*_LINE_FIELDS).alias("lines"))
    orders = pl.DataFrame({"row": clear.orders}, {"row": pl.UInt32})
    told = orders.join(lists, "row", "left").with_columns(
        pl.col("lines").fill_null(pl.lit([], SCHEMA["lines"]))
    )
    every = pl.DataFrame({"row": range(rows)}, {"row": pl.UInt32})
    return every.join(told, "row", "left", maintain_order="left")["lines"]


class RowOpener:
    """Makes events of rows again."""

    def __init__(self, keys: PersonKeys) -> None:
        self._keys = keys

    def event(self, row: Mapping[str, Any]) -> Event | None:
        """The event; None where its person was erased.

        Raises SealBroken where it was sealed under another master key, or is damaged.
        """
        sealed, person = row["sealed"], row["person"]
        if sealed is None:
            return None
        seal = self._keys.for_opening(person, sealed[:ID_BYTES])
        if seal is None:
            return None
        try:
            told = _decode(seal.open(sealed[ID_BYTES:], about=person))
        except msgspec.MsgspecError as error:
            raise SealBroken(f"offset {row['offset']}: what is sealed does not decode") from error
        return event_of(message_of(row, told))
