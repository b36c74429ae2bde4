"""From rows of a shop's files to events.

A row is an event, but for lines of orders: rows that follow one another, and are of the same
action, shopper and order, are one event.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import Any, Final, NamedTuple

import msgspec
from attune.events.v1.shopper_event_pb2 import ShopperEvent

from services.events.domain.cells import ROW_INVALID, moment_reader, price, refuse, whole_number
from services.events.domain.mapping import ACTIONS, FileMapping, Name
from services.shared.errors import EventRefused

Cell = str | list[str]

ORDER_LINES: Final = 200
"""Rows of one event; an order of more becomes several, each within an event's size."""

LIST_SEPARATOR: Final = "|"
ID_PREFIX: Final = "import-"


class Row(NamedTuple):
    """One row of a file."""

    number: int
    """From 1 on, without a heading."""
    cells: Mapping[str, Cell]
    """What is in it by the file's own columns, but for what is empty."""
    read: int
    """How many bytes of its file were read up to here, roughly."""
    fault: str = ""
    """Why it cannot be read at all; then it has no cells."""


class Made(NamedTuple):
    """What became of rows that belong together."""

    rows: Sequence[Row]
    event: ShopperEvent | EventRefused


class _Read(NamedTuple):
    """A row by our names."""

    row: Row
    told: Mapping[str, Cell]
    action: str


class EventMaker:
    """Makes events of the rows of files that are written alike. Holds no state between files."""

    def __init__(self, mapping: FileMapping, taken: Mapping[Name, str], *, shop_id: str) -> None:
        """``taken`` says which column is read for what, see :meth:`FileMapping.taken_from`."""
        self._columns = tuple(taken.items())
        self._constants: dict[str, Cell] = dict(mapping.constants.items())
        self._actions: Mapping[str, str] = {
            **dict(zip(ACTIONS, ACTIONS, strict=True)),
            **mapping.actions,
        }
        self._moment = moment_reader(mapping.time)
        self._decimal = mapping.money.decimal
        self._shop_id = shop_id

    def made(self, rows: Iterable[Row]) -> Iterator[Made]:
        """Each event, or why there is none, with the rows that it is made of, in their order.

        Lines of an order are held until another row comes: at most :data:`ORDER_LINES`.
        """
        gathered: list[_Read] = []
        order: tuple[Cell, ...] | None = None
        part = 1
        for row in rows:
            read = self._read(row)
            found = _order_of(read)
            goes_on = found is not None and found == order
            if gathered and (not goes_on or len(gathered) == ORDER_LINES):
                yield self._make(gathered, part)
                gathered = []
                part = part + 1 if goes_on else 1
            gathered.append(read)
            order = found
        if gathered:
            yield self._make(gathered, part)

    def _read(self, row: Row) -> _Read:
        cells, told = row.cells, self._constants.copy()
        for name, column in self._columns:
            if cell := cells.get(column):
                told[name] = cell
        word = told.get("action", "")
        return _Read(row, told, self._actions.get(word, "") if isinstance(word, str) else "")

    def _make(self, gathered: Sequence[_Read], part: int) -> Made:
        """``part`` counts the events of one order, from 1 on."""
        rows = [read.row for read in gathered]
        try:
            return Made(rows, self._event(gathered, part))
        except EventRefused as refusal:
            return Made(rows, refusal)

    def _event(self, gathered: Sequence[_Read], part: int) -> ShopperEvent:
        """Raises EventRefused with ROW_INVALID. Whether the event may be is for others to say."""
        first = gathered[0]
        for read in gathered:
            if read.row.fault:
                raise EventRefused(ROW_INVALID, read.row.fault)
        if not first.action:
            word = str(first.told.get("action", ""))
            raise refuse("action", word, f"is none of {', '.join(ACTIONS)}; see [actions]")
        text = _texts(first.told)
        head: dict[str, str] = {name: text[name] for name in _HEAD if name in text}
        at = self._moment(text.get("occurred_at", ""))
        what = _MAKE[first.action](gathered, self._decimal)
        content = [self._shop_id, *sorted(head.items()), at, first.action, what, part]
        named = text.get("event_id", "")
        head["event_id"] = _part_of(named, part) if named else _id_of(content)
        fields: dict[str, Any] = {"shop_id": self._shop_id, **head, first.action: what}
        try:
            event = ShopperEvent(**fields)
        except (ValueError, TypeError) as error:  # a number that fits no field
            raise EventRefused(ROW_INVALID, str(error)[:300]) from error
        event.occurred_at.seconds, micros = divmod(at, 1_000_000)
        event.occurred_at.nanos = micros * 1000
        return event


def _order_of(read: _Read) -> tuple[Cell, ...] | None:
    """What lines of one event have in common; None for a row that stands alone."""
    order = read.told.get("order_id")
    if not order or read.action not in ("purchase", "cancel") or read.row.fault:
        return None
    same = (read.told.get(name, "") for name in ("event_id", "user_id", "visitor_id"))
    return (read.action, order, *same)


def _id_of(content: Sequence[Any]) -> str:
    """The name of an event that has none: the same for the same content, whenever imported."""
    return ID_PREFIX + blake2b(msgspec.json.encode(content), digest_size=16).hexdigest()


def _part_of(event_id: str, part: int) -> str:
    return event_id if part == 1 else f"{event_id}#{part}"


_HEAD: Final = ("user_id", "visitor_id", "session_id", "attribution_token")


def _texts(told: Mapping[str, Cell]) -> dict[str, str]:
    """What was told as text. Raises EventRefused for a list where none may be."""
    for name, cell in told.items():
        if not isinstance(cell, str) and name != "product_ids":
            raise refuse(name, str(cell), "is a list; only product_ids may be one")
    return {name: cell for name, cell in told.items() if isinstance(cell, str)}


def _product(gathered: Sequence[_Read], _: str) -> dict[str, Any]:
    return {"product_id": _texts(gathered[0].told).get("product_id", "")}


def _quantity(gathered: Sequence[_Read], _: str) -> dict[str, Any]:
    return _line(gathered[0], "")


def _search(gathered: Sequence[_Read], _: str) -> dict[str, Any]:
    text = _texts(gathered[0].told)
    made: dict[str, Any] = {"query": text.get("query", "")}
    if "result_count" in text:
        made["result_count"] = whole_number("result_count", text["result_count"])
    return made


def _rating(gathered: Sequence[_Read], _: str) -> dict[str, Any]:
    text = _texts(gathered[0].told)
    return {
        "product_id": text.get("product_id", ""),
        "stars": whole_number("stars", text.get("stars", "")),
    }


def _impression(gathered: Sequence[_Read], _: str) -> dict[str, Any]:
    shown = gathered[0].told.get("product_ids", "")
    return {"product_ids": shown.split(LIST_SEPARATOR) if isinstance(shown, str) else shown}


def _nothing(_: Sequence[_Read], __: str) -> dict[str, Any]:
    return {}


def _order(gathered: Sequence[_Read], decimal: str) -> dict[str, Any]:
    """An order is taken whole: a line that cannot be read refuses all of it."""
    lines = []
    for read in gathered:
        try:
            if read.action == "purchase" or "product_id" in read.told:
                lines.append(_line(read, decimal))
        except EventRefused as refusal:
            if len(gathered) == 1:
                raise
            said = f"row {read.row.number} of this order: {refusal}"
            raise EventRefused(ROW_INVALID, said, fields=refusal.fields) from refusal
    return {"order_id": str(gathered[0].told.get("order_id", "")), "lines": lines}


def _line(read: _Read, decimal: str) -> dict[str, Any]:
    """A product and how many; with its price where ``decimal`` says how that is written."""
    text = _texts(read.told)
    made: dict[str, Any] = {
        "product_id": text.get("product_id", ""),
        "quantity": whole_number("quantity", text.get("quantity", "")),
    }
    if decimal and "unit_price" in text:
        units, nanos = price(text["unit_price"], decimal)
        currency = text.get("currency", "")
        made["unit_price"] = {"currency_code": currency, "units": units, "nanos": nanos}
    return made


_MAKE: Final[Mapping[str, Callable[[Sequence[_Read], str], dict[str, Any]]]] = {
    "search": _search,
    "view": _product,
    "add_to_cart": _quantity,
    "remove_from_cart": _quantity,
    "purchase": _order,
    "cancel": _order,
    "impression": _impression,
    "click": _product,
    "rating": _rating,
    "not_interested": _product,
    "identify": _nothing,
    "logout": _nothing,
}
