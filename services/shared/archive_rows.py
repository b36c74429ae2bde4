"""Shopper events as rows of the archive, and back.

What names a person or was said by one is sealed, all of a row together; ids that figures need
to tell things apart by stand beside it as keyed hashes. The rest is in clear, under the names
of the proto: what was done when, in which shop, to which products, how many, for what price.

Columns are only ever added, at the end, and :data:`SCHEMA_VERSION` rises with them; a file
without one reads as null there.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import Any, Final, NamedTuple

import msgspec
import polars as pl
from msgspec.structs import astuple

from services.shared.archive_actions import WHAT, Secrets, message_of
from services.shared.archive_keys import ID_BYTES, PersonKeys, PersonSeal
from services.shared.event import Event
from services.shared.event_protobuf import event_of
from services.shared.sealing import NONCE_BYTES, MasterKey, SealBroken
from services.shared.subject import event_key

SCHEMA_VERSION: Final = "1"
HASH_BYTES: Final = 8
SESSIONS_KEPT: Final = 10_000
"""Sessions whose hash is remembered within a batch; one has several events."""

PERSONS_KEPT: Final = 200_000
"""Shoppers whose pseudonym is remembered."""

NEVER: Final = -(2**63)

_MOMENT: Final = pl.Datetime("us", "UTC")
_LINE: Final = pl.Struct(
    {
        "product_id": pl.String,
        "quantity": pl.Int32,
        "currency_code": pl.String,
        "units": pl.Int64,
        "nanos": pl.Int32,
    }
)
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
    "lines": pl.List(_LINE),
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
    erased_at: int
    """What happened until then, in microseconds since 1970, is forgotten."""
    key: PersonSeal | None = None
    """None until there is something to seal: who is erased is given no key again for nothing."""


class RowSealer:
    """Makes columns of rows; keys that are new must be saved before these are kept."""

    def __init__(self, keys: PersonKeys, master: MasterKey) -> None:
        self._keys = keys
        self._pseudonym = master.pseudonym
        self._hashing = blake2b(
            digest_size=HASH_BYTES, key=master.derive("hashes of the archive")
        ).copy
        self._pseudonyms: dict[bytes, bytes] = {}

    def frame(self, topic_id: str, partition: int, rows: Sequence[Row]) -> pl.DataFrame:
        """The rows as :data:`SCHEMA` has them, and a column ``day``."""
        if not rows:
            return pl.DataFrame(schema={**SCHEMA, "day": pl.String})
        columns = dict(zip(list(SCHEMA)[2:], zip(*self._values(rows), strict=True), strict=True))
        series = [pl.Series(name, columns[name], SCHEMA[name]) for name in columns]
        day = pl.col("appended_at").dt.strftime("%Y-%m-%d").alias("day")
        head = [pl.lit(topic_id).alias("topic_id"), pl.lit(partition, pl.Int32).alias("partition")]
        return pl.DataFrame(series).select(*head, pl.all(), day)

    def _values(self, rows: Sequence[Row]) -> Iterator[tuple[Any, ...]]:
        persons: dict[bytes, Person] = {}
        hashed, hashed_session = self._hash, lru_cache(SESSIONS_KEPT)(self._hash)
        drawn = os.urandom(NONCE_BYTES * len(rows))  # one call of the system instead of one a row
        nonces = (drawn[at : at + NONCE_BYTES] for at in range(0, len(drawn), NONCE_BYTES))
        for offset, appended, first_appended, name, event in rows:
            person = persons.get(name)
            if person is None:
                person = persons[name] = self._person(name)
            pseudonym, erased_at, key = person
            event_id, shop_id, user_id, visitor_id, at, action, said, session_id, token = astuple(
                event
            )
            what = WHAT[action](said)
            order_id = what[6]
            sealed = None
            if min(at, first_appended * 1000) > erased_at:
                if key is None:
                    key = self._keys.for_sealing(pseudonym)
                    persons[name] = person._replace(key=key)
                secrets = _encode(
                    (event_id, user_id, visitor_id, session_id, token, order_id, what[7], what[8])
                )
                sealed = key.id + key.seal.seal(
                    secrets, about=pseudonym, random=lambda _: next(nonces)
                )
            yield (
                offset,
                appended * 1000,
                first_appended * 1000,
                at,
                shop_id,
                pseudonym,
                action,
                *what[:6],
                hashed(name, event_id),
                hashed_session(name, session_id) if session_id else None,
                hashed(name, order_id) if order_id else None,
                sealed,
            )

    def _person(self, name: bytes) -> Person:
        pseudonym = self._pseudonyms.get(name)
        if pseudonym is None:
            if len(self._pseudonyms) >= PERSONS_KEPT:
                self._pseudonyms.clear()
            pseudonym = self._pseudonyms[name] = self._pseudonym(name)
        erased_at = self._keys.erased_at(pseudonym)
        return Person(pseudonym, NEVER if erased_at is None else erased_at)

    def _hash(self, name: bytes, told: str) -> bytes:
        """Tells ids of one person apart, tells nobody which they are."""
        made = self._hashing()
        made.update(name + b"\0" + told.encode())
        return made.digest()


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
