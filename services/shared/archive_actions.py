"""What an action of an event says, parted into what is kept in clear and what is sealed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec
from attune.events.v1.shopper_event_pb2 import OrderLine, ShopperEvent
from google.protobuf.message import Message
from msgspec import UNSET


class Secrets(msgspec.Struct, array_like=True, omit_defaults=True):
    """What is sealed of an event; fields are only ever added, at the end."""

    event_id: str
    user_id: str
    visitor_id: str
    session_id: str = ""
    attribution_token: str = ""
    order_id: str = ""
    query: str = ""
    filters: Mapping[str, str] = {}


class Clear:
    """What the actions of a batch say in clear, by column; None in a row that does not say it.

    Lists that are filled where there is something, rather than a value for each column and
    row: most actions name a product and nothing else.
    """

    __slots__ = (
        "lines",
        "orders",
        "product_id",
        "product_ids",
        "quantity",
        "result_count",
        "stars",
    )

    def __init__(self, rows: int) -> None:
        self.product_id: list[str | None] = [None] * rows
        self.quantity: list[int | None] = [None] * rows
        self.stars: list[int | None] = [None] * rows
        self.result_count: list[int | None] = [None] * rows
        self.product_ids: list[Sequence[str] | None] = [None] * rows
        self.orders: list[int] = []
        """Rows that have lines, be it none."""
        self.lines: list[Line] = []


class Line(NamedTuple):
    """A line of an order."""

    row: int
    product_id: str
    quantity: int
    currency_code: str | None = None
    units: int | None = None
    nanos: int | None = None


More = tuple[()] | tuple[str] | tuple[str, str, Mapping[str, str]]
"""The fields of :class:`Secrets` from ``order_id`` on, as far as an action has them."""


def _search(said: Any, row: int, into: Clear) -> More:
    is_said = said.HasField("result_count") if isinstance(said, Message) else True
    if is_said and said.result_count is not UNSET:
        into.result_count[row] = said.result_count
    return "", said.query, dict(said.filters or {})


def _product(said: Any, row: int, into: Clear) -> More:
    into.product_id[row] = said.product_id
    return ()


def _cart(said: Any, row: int, into: Clear) -> More:
    into.product_id[row] = said.product_id
    into.quantity[row] = said.quantity
    return ()


def _rating(said: Any, row: int, into: Clear) -> More:
    into.product_id[row] = said.product_id
    into.stars[row] = said.stars
    return ()


def _impression(said: Any, row: int, into: Clear) -> More:
    into.product_ids[row] = list(said.product_ids)
    return ()


def _order(said: Any, row: int, into: Clear) -> More:
    into.orders.append(row)
    into.lines.extend([_line(line, row) for line in said.lines or ()])
    return (said.order_id,)


def _nothing(_said: Any, _row: int, _into: Clear) -> More:
    return ()


PART: Final[dict[str, Callable[[Any, int, Clear], More]]] = {
    "search": _search,
    "view": _product,
    "click": _product,
    "not_interested": _product,
    "add_to_cart": _cart,
    "remove_from_cart": _cart,
    "purchase": _order,
    "cancel": _order,
    "impression": _impression,
    "rating": _rating,
    "identify": _nothing,
    "logout": _nothing,
}
"""Puts what an action says in clear into its row, and answers the rest, which is sealed."""


def _line(line: Any, row: int) -> Line:
    is_said = (
        line.HasField("unit_price") if isinstance(line, Message) else line.unit_price is not UNSET
    )
    if not is_said:
        return Line(row, line.product_id, line.quantity)
    money = line.unit_price
    units, nanos = int(money.units or 0), money.nanos or 0
    return Line(row, line.product_id, line.quantity, money.currency_code, units, nanos)


def message_of(row: Mapping[str, Any], told: Secrets) -> ShopperEvent:
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
