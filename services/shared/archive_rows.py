"""Shopper events as rows of the archive, and back.

What names a person or was said by one is sealed, all of a row together; ids that figures need
to tell things apart by stand beside it as keyed hashes. The rest is in clear, under the names
of the proto: what was done when, in which shop, to which products, how many, for what price.

Columns are only ever added, at the end, and :data:`SCHEMA_VERSION` rises with them; a file
without one reads as null there. The same goes for what is sealed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from typing import Any, Final, NamedTuple

import msgspec
import polars as pl
from attune.events.v1.shopper_event_pb2 import OrderLine, ShopperEvent
from google.protobuf.message import Message
from msgspec import UNSET

from services.shared.archive_keys import PersonKeys
from services.shared.event import Event
from services.shared.event_protobuf import event_of
from services.shared.sealing import MasterKey, SealBroken
from services.shared.subject import event_key

SCHEMA_VERSION: Final = "1"
HASH_BYTES: Final = 8
PERSONS_KEPT: Final = 200_000
"""Shoppers whose pseudonym is remembered."""

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


class Secrets(msgspec.Struct, array_like=True, omit_defaults=True):
    """What is sealed of an event."""

    event_id: str
    user_id: str
    visitor_id: str
    session_id: str = ""
    attribution_token: str = ""
    order_id: str = ""
    query: str = ""
    filters: dict[str, str] = {}


class What(NamedTuple):
    """What an action says in clear, and of what is sealed what only some actions have."""

    product_id: str | None = None
    quantity: int | None = None
    stars: int | None = None
    result_count: int | None = None
    product_ids: Sequence[str] | None = None
    lines: Sequence[Mapping[str, Any]] | None = None
    order_id: str = ""
    query: str = ""
    filters: Mapping[str, str] = {}


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
_decode = msgspec.msgpack.Decoder(Secrets).decode


class RowSealer:
    """Makes columns of rows; keys that are new must be saved before these are kept."""

    def __init__(self, keys: PersonKeys, master: MasterKey) -> None:
        self._keys = keys
        self._pseudonym = master.pseudonym
        self._hashing = master.derive("hashes of the archive")
        self._persons: dict[bytes, bytes] = {}

    def frame(self, topic_id: str, partition: int, rows: Sequence[Row]) -> pl.DataFrame:
        """The rows as :data:`SCHEMA` has them, and a column ``day``."""
        made = [self._values(row) for row in rows]
        columns = dict(zip(list(SCHEMA)[2:], zip(*made, strict=True), strict=True))
        series = [pl.Series(name, columns[name], SCHEMA[name]) for name in columns]
        day = pl.col("appended_at").dt.strftime("%Y-%m-%d").alias("day")
        head = [pl.lit(topic_id).alias("topic_id"), pl.lit(partition, pl.Int32).alias("partition")]
        return pl.DataFrame(series).select(*head, pl.all(), day)

    def _values(self, row: Row) -> tuple[Any, ...]:
        offset, appended, first_appended, name, event = row
        what = _WHAT[event.action](event.what)
        person = self._person(name)
        hashed = self._hash
        return (
            offset,
            appended * 1000,
            first_appended * 1000,
            event.at,
            event.shop_id,
            person,
            event.action,
            *what[:6],
            hashed(name, event.event_id),
            hashed(name, event.session_id) if event.session_id else None,
            hashed(name, what.order_id) if what.order_id else None,
            self._seal(person, first_appended * 1000, event, what),
        )

    def _seal(self, person: bytes, appended: int, event: Event, what: What) -> bytes | None:
        """None where the person has asked, after this event, to be forgotten."""
        erased_at = self._keys.erased_at(person)
        if erased_at is not None and min(event.at, appended) <= erased_at:
            return None
        key = self._keys.for_sealing(person)
        plain = _encode(
            Secrets(
                event.event_id,
                event.user_id,
                event.visitor_id,
                event.session_id,
                event.attribution_token,
                what.order_id,
                what.query,
                what.filters,  # type: ignore[arg-type]  # any mapping is encoded so
            )
        )
        return key.id + key.seal.seal(plain, about=person)

    def _person(self, name: bytes) -> bytes:
        made = self._persons.get(name)
        if made is None:
            if len(self._persons) >= PERSONS_KEPT:
                self._persons.clear()
            made = self._persons[name] = self._pseudonym(name)
        return made

    def _hash(self, name: bytes, told: str) -> bytes:
        """Tells ids of one person apart, tells nobody which they are."""
        text = name + b"\0" + told.encode()
        return blake2b(text, digest_size=HASH_BYTES, key=self._hashing).digest()


def _of_search(what: Any) -> What:
    is_said = what.HasField("result_count") if isinstance(what, Message) else True
    count = what.result_count if is_said and what.result_count is not UNSET else None
    return What(result_count=count, query=what.query, filters=dict(what.filters or {}))


def _of_product(what: Any) -> What:
    return What(what.product_id)


def _of_cart(what: Any) -> What:
    return What(what.product_id, what.quantity)


def _of_rating(what: Any) -> What:
    return What(what.product_id, None, what.stars)


def _of_impression(what: Any) -> What:
    return What(product_ids=list(what.product_ids))


def _of_order(what: Any) -> What:
    return What(lines=[_line(line) for line in what.lines or ()], order_id=what.order_id)


def _of_nothing(_: Any) -> What:
    return _NOTHING


_NOTHING: Final = What()
_WHAT: Final[dict[str, Callable[[Any], What]]] = {
    "search": _of_search,
    "view": _of_product,
    "click": _of_product,
    "not_interested": _of_product,
    "add_to_cart": _of_cart,
    "remove_from_cart": _of_cart,
    "purchase": _of_order,
    "cancel": _of_order,
    "impression": _of_impression,
    "rating": _of_rating,
    "identify": _of_nothing,
    "logout": _of_nothing,
}


def _line(line: Any) -> dict[str, Any]:
    made = {"product_id": line.product_id, "quantity": line.quantity}
    is_said = (
        line.HasField("unit_price") if isinstance(line, Message) else line.unit_price is not UNSET
    )
    if is_said:
        money = line.unit_price
        made["currency_code"] = money.currency_code
        made["units"] = int(money.units or 0)
        made["nanos"] = money.nanos or 0
    return made


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
        seal = self._keys.for_opening(person, sealed[:4])
        if seal is None:
            return None
        try:
            told = _decode(seal.open(sealed[4:], about=person))
        except msgspec.MsgspecError as error:
            raise SealBroken(f"offset {row['offset']}: what is sealed does not decode") from error
        return event_of(_message(row, told))


def _message(row: Mapping[str, Any], told: Secrets) -> ShopperEvent:
    """The event as its producer has sent it."""
    message = ShopperEvent(
        event_id=told.event_id,
        shop_id=row["shop_id"],
        user_id=told.user_id,
        visitor_id=told.visitor_id,
        session_id=told.session_id,
        attribution_token=told.attribution_token,
    )
    message.occurred_at.FromMicroseconds(row["occurred_at"])
    what = getattr(message, row["action"])
    what.SetInParent()
    for name in ("product_id", "quantity", "stars", "result_count"):
        if row[name] is not None:
            setattr(what, name, row[name])
    if row["product_ids"] is not None:
        what.product_ids.extend(row["product_ids"])
    if row["lines"] is not None:
        what.lines.extend(map(_order_line, row["lines"]))
        what.order_id = told.order_id
    if told.query:
        what.query = told.query
        what.filters.update(told.filters)
    return message


def _order_line(line: Mapping[str, Any]) -> OrderLine:
    made = OrderLine(product_id=line["product_id"], quantity=line["quantity"])
    if line["currency_code"] is not None:
        money = made.unit_price
        money.currency_code, money.units, money.nanos = (
            line["currency_code"],
            line["units"],
            line["nanos"],
        )
    return made
