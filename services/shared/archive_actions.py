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
WHAT: Final[dict[str, Callable[[Any], What]]] = {
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
