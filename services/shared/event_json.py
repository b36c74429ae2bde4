"""The canonical JSON of a ``ShopperEvent``, for the fast path of ``event_codec``.

These types accept less than Protobuf's JSON mapping and never more: camelCase names, no
unknown ones, no nulls, whole numbers as numbers, no key twice (``event_codec`` sees to that).
They state no limits, those are the proto's. A test holds the messages made here equal to
those of ``json_format``.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any, Final

import msgspec
from attune.events.v1 import shopper_event_pb2 as pb
from google.protobuf.timestamp_pb2 import Timestamp
from google.type.money_pb2 import Money
from msgspec import UNSET, UnsetType

# json_format takes more forms (nine digits, other offsets); those go the slow way.
_UTC: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{3}(?:\d{3})?)?Z", re.ASCII)
_WHOLE: Final = re.compile(r"-?(?:0|[1-9]\d{0,17})", re.ASCII)


class _Json(
    msgspec.Struct, rename="camel", forbid_unknown_fields=True, gc=False, omit_defaults=True
):
    """What all share."""


class MoneyJson(_Json):
    """``google.type.Money``; ``units`` is an int64, which JSON carries as text or number."""

    currency_code: str = ""
    units: str | int = 0
    nanos: int = 0


class LineJson(_Json):
    """One product of an order."""

    product_id: str = ""
    quantity: int = 0
    unit_price: MoneyJson | UnsetType = UNSET


class OrderJson(_Json):
    """A purchase or a cancel."""

    order_id: str = ""
    lines: list[LineJson] = []


class ProductJson(_Json):
    """A view, click or refusal."""

    product_id: str = ""


class CartJson(_Json):
    """A change of the cart."""

    product_id: str = ""
    quantity: int = 0


class SearchJson(_Json):
    """A search."""

    query: str = ""
    filters: dict[str, str] = {}
    result_count: int | UnsetType = UNSET


class ImpressionJson(_Json):
    """Products shown."""

    product_ids: list[str] = []


class EventJson(_Json):
    """The actions that come often; an event of another goes the slow way."""

    event_id: str = ""
    shop_id: str = ""
    user_id: str = ""
    visitor_id: str = ""
    session_id: str = ""
    attribution_token: str = ""
    occurred_at: str = ""
    search: SearchJson | UnsetType = UNSET
    view: ProductJson | UnsetType = UNSET
    click: ProductJson | UnsetType = UNSET
    add_to_cart: CartJson | UnsetType = UNSET
    remove_from_cart: CartJson | UnsetType = UNSET
    purchase: OrderJson | UnsetType = UNSET
    impression: ImpressionJson | UnsetType = UNSET


def message_of(event: EventJson) -> pb.ShopperEvent | None:
    """The message, or None where only ``json_format`` can tell.

    Raises ValueError for a number that its field cannot hold.
    """
    if not _UTC.fullmatch(event.occurred_at):
        return None
    actions = {
        name: make(value)
        for name, make in _ACTIONS.items()
        if not isinstance(value := getattr(event, name), UnsetType)
    }
    if len(actions) > 1:
        return None
    return pb.ShopperEvent(
        event_id=event.event_id,
        shop_id=event.shop_id,
        user_id=event.user_id,
        visitor_id=event.visitor_id,
        session_id=event.session_id,
        attribution_token=event.attribution_token,
        occurred_at=_timestamp(event.occurred_at),
        **actions,
    )


def _timestamp(text: str) -> Timestamp:
    at = datetime.fromisoformat(text)
    return Timestamp(seconds=int(at.timestamp()), nanos=at.microsecond * 1000)


def _money(price: MoneyJson) -> Money:
    units = price.units
    if isinstance(units, str):
        if not _WHOLE.fullmatch(units):
            raise ValueError("units")
        units = int(units)
    return Money(currency_code=price.currency_code, units=units, nanos=price.nanos)


def _line(line: LineJson) -> pb.OrderLine:
    if isinstance(line.unit_price, UnsetType):
        return pb.OrderLine(product_id=line.product_id, quantity=line.quantity)
    return pb.OrderLine(
        product_id=line.product_id, quantity=line.quantity, unit_price=_money(line.unit_price)
    )


def _search(search: SearchJson) -> pb.Search:
    made = pb.Search(query=search.query, filters=search.filters)
    if not isinstance(search.result_count, UnsetType):
        made.result_count = search.result_count
    return made


def _purchase(order: OrderJson) -> pb.Purchase:
    return pb.Purchase(order_id=order.order_id, lines=[_line(line) for line in order.lines])


_ACTIONS: Final[dict[str, Any]] = {
    "purchase": _purchase,
    "view": lambda view: pb.View(product_id=view.product_id),
    "click": lambda click: pb.Click(product_id=click.product_id),
    "search": _search,
    "impression": lambda shown: pb.Impression(product_ids=shown.product_ids),
    "add_to_cart": lambda cart: pb.AddToCart(product_id=cart.product_id, quantity=cart.quantity),
    "remove_from_cart": lambda cart: pb.RemoveFromCart(
        product_id=cart.product_id, quantity=cart.quantity
    ),
}
