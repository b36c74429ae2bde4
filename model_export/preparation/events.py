"""Shopper events as rows: what one event says, a row for each product, order or search.

A user's name is ``shop/u:id``, a visitor's ``shop/v:id``, as in the key of the event's record;
with a master key its pseudonym, the same that the archive has, so that nobody is named in a
prepared folder.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

from model_export.preparation.rows import CANCEL, LINKED, UNLINKED, WHOLE_ORDER
from services.shared.event import Event
from services.shared.model_input import CART, CLICK, IMPRESSION, PURCHASE, SEARCH, VIEW
from services.shared.sealing import MasterKey
from services.shared.search_text import normalised
from services.shared.subject import event_key, subject_of

NANOS: Final = 1_000_000_000


class EventRow(NamedTuple):
    """The columns of ``rows.ROW`` that an event fills, in this order."""

    user_id: str
    thing: str | None
    action: int
    at: int
    event_id: str | None = None
    session_id: str | None = None
    order_id: str | None = None
    quantity: int | None = None
    price: float | None = None


Name = Callable[[str, str], str]
"""Names a subject (``u:…`` or ``v:…``) of a shop."""


def plain_name(shop_id: str, subject: str) -> str:
    """As the key of the event's record has it."""
    return event_key(shop_id, subject).decode()


def pseudonym_by(master: MasterKey) -> Name:
    """Names subjects by the pseudonyms of the archive."""
    return lambda shop_id, subject: master.pseudonym(event_key(shop_id, subject)).hex()


def rows_of_event(event: Event, name: Name) -> list[EventRow]:
    """The rows of an event; none where it says nothing that the model reads."""
    if event.action in ("identify", "logout"):
        return [_link(event, name)]
    make = _ROWS.get(event.action)
    if make is None:
        return []
    user = name(event.shop_id, event.subject)
    head = (event.at, event.event_id, event.session_id or None)
    return [
        EventRow(user, thing, action, *head, *more) for action, thing, *more in make(event.what)
    ]


def _link(event: Event, name: Name) -> EventRow:
    visitor = name(event.shop_id, subject_of("", event.visitor_id))
    user = name(event.shop_id, subject_of(event.user_id, ""))
    action = LINKED if event.action == "identify" else UNLINKED
    return EventRow(visitor, user, action, event.at, event.event_id, event.session_id or None)


Said = tuple[Any, ...]
"""Action, thing, and as far as they are known order, quantity and price."""


def _product(action: int) -> Callable[[Any], Iterator[Said]]:
    def said(what: Any) -> Iterator[Said]:
        yield action, what.product_id

    return said


def _search(what: Any) -> Iterator[Said]:
    yield SEARCH, normalised(what.query) or None


def _impression(what: Any) -> Iterator[Said]:
    for product_id in what.product_ids:
        yield IMPRESSION, product_id


def _purchase(what: Any) -> Iterator[Said]:
    for line in what.lines:
        yield PURCHASE, line.product_id, what.order_id, line.quantity, _price(line)


def _cancel(what: Any) -> Iterator[Said]:
    for line in what.lines or ():
        yield CANCEL, line.product_id, what.order_id, line.quantity
    if not what.lines:
        yield CANCEL, WHOLE_ORDER, what.order_id


def _price(line: Any) -> float | None:
    """A line's price; None where it has none."""
    money = line.unit_price
    if not money or not money.currency_code:
        return None
    return float(int(money.units or 0) + (money.nanos or 0) / NANOS)


_ROWS: Final[dict[str, Callable[[Any], Iterator[Said]]]] = {
    "view": _product(VIEW),
    "click": _product(CLICK),
    "add_to_cart": _product(CART),
    "search": _search,
    "impression": _impression,
    "purchase": _purchase,
    "cancel": _cancel,
}
