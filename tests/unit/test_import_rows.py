"""From rows of a shop's files to events: cells, ids, orders, refusals."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any

import pytest
from attune.events.v1.shopper_event_pb2 import ShopperEvent
from hypothesis import given
from hypothesis import strategies as st

from services.events.domain.cells import moment_reader, price
from services.events.domain.chunks import chunks
from services.events.domain.mapping import ACTIONS, NAMES, FileMapping, Time
from services.events.domain.rows import ORDER_LINES, Row
from services.shared.errors import EventRefused
from services.shared.event_codec import decode_event
from tests.import_parts import AT, line, made, maker, view

NOON = int(datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp()) * 1_000_000


def events(rows: list[Any], mapping: str = "") -> list[ShopperEvent]:
    """The events of rows of which none is refused."""
    some = [one.event for one in made(rows, mapping)]
    assert all(isinstance(event, ShopperEvent) for event in some), some
    return [event for event in some if isinstance(event, ShopperEvent)]


def refusal(row: dict[str, Any], mapping: str = "") -> str:
    """Code and reason of the refusal of a row's event, by whoever refuses it first."""
    (chunk,) = chunks(made([row], mapping), shop_id="demo", now=NOON)
    (reject,) = chunk.rejects
    return f"{reject.code}: {reject.reason}"


def test_every_action_and_name_of_the_contract() -> None:
    """The import knows the contract's actions, and no other."""
    actions = ShopperEvent.DESCRIPTOR.oneofs_by_name["action"].fields
    assert set(ACTIONS) == {field.name for field in actions}
    head = {field.name for field in ShopperEvent.DESCRIPTOR.fields if not field.containing_oneof}
    assert head - {"shop_id"} <= set(NAMES)


ROWS: dict[str, dict[str, Any]] = {
    "search": {"query": "mug", "result_count": "3"},
    "view": {"product_id": "mug"},
    "add_to_cart": {"product_id": "mug", "quantity": "2"},
    "remove_from_cart": {"product_id": "mug", "quantity": "1"},
    "purchase": {"order_id": "o", "product_id": "mug", "quantity": "1"},
    "cancel": {"order_id": "o"},
    "impression": {"product_ids": "mug|cup"},
    "click": {"product_id": "mug"},
    "rating": {"product_id": "mug", "stars": "5"},
    "not_interested": {"product_id": "mug"},
    "identify": {},
    "logout": {},
}


@pytest.mark.parametrize("action", ACTIONS)
def test_a_row_of_each_action_is_let_in(action: str) -> None:
    """Each becomes what the worker reads as that action, of any age."""
    head = {"action": action, "occurred_at": AT, "user_id": "ana", "visitor_id": "v"}
    (chunk,) = chunks(made([{**head, **ROWS[action]}]), shop_id="demo", now=NOON)
    (record,) = chunk.records
    event = decode_event(*record)
    assert (event.action, event.shop_id, event.user_id) == (action, "demo", "ana")
    assert event.at == int(datetime(2021, 3, 1, 9, 30, tzinfo=UTC).timestamp()) * 1_000_000


def test_lists_of_parquet_are_as_lists_of_text() -> None:
    """A product whose id has the separator in it is one product."""
    row = {"action": "impression", "occurred_at": AT, "user_id": "ana"}
    (text,) = events([{**row, "product_ids": "mug|cup"}])
    (listed,) = events([{**row, "product_ids": ["mug", "cup"]}])
    assert text == listed
    (odd,) = events([{**row, "product_ids": ["m|ug"]}])
    assert list(odd.impression.product_ids) == ["m|ug"]
    assert "is a list" in refusal(view(1, product_id=["mug"]))  # type: ignore[arg-type]  # as Parquet may have it


@pytest.mark.parametrize(
    ("text", "decimal", "units", "nanos"),
    [
        ("12.50", ".", 12, 500_000_000),
        ("0.1", ".", 0, 100_000_000),
        ("7", ".", 7, 0),
        ("0.000000001", ".", 0, 1),
        ("1234,99", ",", 1234, 990_000_000),
    ],
)
def test_prices_are_exact(text: str, decimal: str, units: int, nanos: int) -> None:
    """Digit by digit, never by a float."""
    assert price(text, decimal) == (units, nanos)


@given(st.decimals(0, 1_000_000_000, places=9))
def test_any_price_comes_back(amount: Any) -> None:
    """What is read is what was written."""
    units, nanos = price(f"{amount:f}", ".")
    assert f"{units}.{nanos:09}" == f"{amount:f}"


@pytest.mark.parametrize(
    "text", ["12,50", "1,234.50", "-1", "€5", "1e3", " 5", "5.", ".5", "0.1234567891", "٣", "NaN"]
)
def test_an_amount_that_is_none_is_not_guessed_at(text: str) -> None:
    """The reason names the field and says how an amount is written."""
    with pytest.raises(EventRefused, match=r"unit_price: .* is not an amount such as 12\.50"):
        price(text, ".")


@pytest.mark.parametrize(
    ("told", "text", "moment"),
    [
        (Time(), "2026-03-01T12:00:00Z", NOON),
        (Time(), "2026-03-01T13:00:00.000001+01:00", NOON + 1),
        (Time(zone="Europe/Berlin"), "2026-03-01 13:00:00", NOON),
        (Time(zone="Europe/Berlin"), "2026-03-01T12:00:00Z", NOON),
        (Time(zone="UTC"), "2026-03-01", NOON - 12 * 3_600_000_000),
        (Time(format="%d.%m.%Y %H:%M", zone="America/New_York"), "01.03.2026 07:00", NOON),
        (Time(format="%Y-%m-%d %H:%M:%S UTC", zone="UTC"), "2026-03-01 12:00:00 UTC", NOON),
        (Time(format="unix"), "1772366400", NOON),
        (Time(format="unix_ms"), "1772366400000", NOON),
        (Time(format="unix_us"), "1772366400000000", NOON),
        (Time(format="unix"), "-1", -1_000_000),
    ],
)
def test_times(told: Time, text: str, moment: int) -> None:
    """As the mapping says that they are written, to the microsecond."""
    assert moment_reader(told)(text) == moment


def test_an_hour_that_a_clock_shows_twice_is_the_first() -> None:
    """And the hour after it follows."""
    read = moment_reader(Time(zone="Europe/Berlin"))
    first = datetime(2025, 10, 26, 0, 30, tzinfo=UTC)
    assert read("2025-10-26 02:30") == int(first.timestamp()) * 1_000_000
    assert read("2025-10-26 03:30") == int((first + timedelta(hours=2)).timestamp()) * 1_000_000


@pytest.mark.parametrize(
    ("told", "text", "said"),
    [
        (Time(), "2026-03-01T12:00:00", "does not say where; set time.zone"),
        (Time(), "03/01/2026", "is not a time such as"),
        (Time(), "", "is not a time such as"),
        (Time(format="%d.%m.%Y"), "2026-03-01", r"is not of the form '%d.%m.%Y'"),
        (Time(format="unix"), "1772366400.5", "is not a whole number"),
    ],
)
def test_a_time_that_is_none_is_refused(told: Time, text: str, said: str) -> None:
    """With what is wrong about it."""
    with pytest.raises(EventRefused, match=said):
        moment_reader(told)(text)


def test_rows_of_one_order_are_one_purchase() -> None:
    """As long as they follow one another, and the shopper is the same."""
    rows = [line(1, 1), line(1, 2), line(2, 3), line(1, 4), line(1, 5, user_id="bob"), view(1)]
    found = events(rows)
    lines = [[each.product_id for each in one.purchase.lines] for one in found]
    assert lines == [["p1", "p2"], ["p3"], ["p4"], ["p5"], []]
    assert [one.purchase.order_id for one in found] == ["o1", "o2", "o1", "o1", ""]
    assert len({one.event_id for one in found}) == 5


def test_a_long_order_is_several_events() -> None:
    """Each within an event's limits, of its own name, also where the file has one for all."""
    for name in ("", "e"):
        found = events([line(1, event_id=name) for _ in range(ORDER_LINES * 2 + 1)])
        assert [len(one.purchase.lines) for one in found] == [ORDER_LINES, ORDER_LINES, 1]
        assert len({one.event_id for one in found}) == 3


def test_a_price_is_the_lines_own() -> None:
    """With its currency; a line without one has none."""
    (one,) = events([line(1, unit_price="3.50", currency="EUR"), line(1)])
    first, second = one.purchase.lines
    assert (first.unit_price.currency_code, first.unit_price.units) == ("EUR", 3)
    assert first.unit_price.nanos == 500_000_000
    assert not second.HasField("unit_price")


def test_an_order_is_taken_whole_or_not_at_all() -> None:
    """One wrong line refuses all rows of the order, and says which it is."""
    rows = [view(1), line(1, 1), line(1, 2, quantity="two"), line(1, 3), view(2)]
    (chunk,) = chunks(made(rows), shop_id="demo", now=NOON)
    assert [reject.row.number for reject in chunk.rejects] == [2, 3, 4]
    assert {reject.reason for reject in chunk.rejects} == {
        "row 3 of this order: quantity: 'two' is not a whole number of at most nine digits"
    }
    assert len(chunk.records) == 2


def test_ids_follow_from_what_happened() -> None:
    """The same row always has the same id; any difference makes another one."""
    (one,) = events([view(1)])
    assert events([view(1), view(1)]) == [one, one]
    rows = [view(1), view(2), view(1, user_id="bob"), view(1, occurred_at="2021-03-01T09:30:01Z")]
    others = [view(1, action="click"), view(1, session_id="s"), line(1), line(1, unit_price="1")]
    assert len({events([row])[0].event_id for row in rows + others}) == 8
    (elsewhere,) = made([view(1)], shop_id="other")
    assert isinstance(elsewhere.event, ShopperEvent)
    assert elsewhere.event.event_id != one.event_id


def test_ids_stay_what_they_are() -> None:
    """A release that named events otherwise would count what was imported before again."""
    at = 1_614_591_000_000_000
    texts = [
        f'["demo",["user_id","u1"],{at},"view",{{"product_id":"p1"}},1]',
        f'["demo",["user_id","ana"],{at},"purchase",{{"order_id":"o1","lines":[{{"product_id":"p0",'
        '"quantity":2,"unit_price":{"currency_code":"EUR","units":3,"nanos":500000000}}]},1]',
    ]
    found = [one.event_id for one in events([view(1), line(1, unit_price="3.5", currency="EUR")])]
    assert found == [
        "import-" + blake2b(text.encode(), digest_size=16).hexdigest() for text in texts
    ]


def test_a_files_own_ids_are_taken() -> None:
    """So what was also sent live counts once."""
    (one,) = events([view(1, event_id="e1")])
    assert one.event_id == "e1"


def test_what_another_action_needs_is_passed_over() -> None:
    """A price beside a view is no part of the event, and not of its id."""
    assert events([view(1, unit_price="cheap", quantity="x")]) == events([view(1)])


def test_columns_constants_and_words_of_the_file() -> None:
    """All that a mapping may say of names, at once."""
    mapping = """
        [columns]
        user_id = "customer"
        product_id = "sku"
        occurred_at = "day"
        action = "kind"
        [constants]
        quantity = "1"
        currency = "EUR"
        order_id = "none"
        [actions]
        sold = "purchase"
        [time]
        format = "%d.%m.%Y"
        zone = "Europe/Berlin"
        [money]
        decimal = ","
    """
    row = {"customer": "ana", "sku": "mug", "day": "01.03.2021", "kind": "sold"}
    (one,) = events([{**row, "unit_price": "3,50"}], mapping)
    (same,) = events(
        [
            line("", 0, product_id="mug", quantity="1", occurred_at="2021-02-28T23:00:00Z")
            | {"order_id": "none", "unit_price": "3.5", "currency": "EUR"}
        ]
    )
    assert one == same


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"action": "look"}, "ROW_INVALID: action: 'look' is none of search, view"),
        ({"action": ""}, "ROW_INVALID: action: ''"),
        ({"product_id": ""}, "EVENT_INVALID: view.product_id"),
        ({"user_id": ""}, "EVENT_INVALID: event: user_id or visitor_id must be set"),
        ({"user_id": "{ana}"}, "EVENT_INVALID: user_id"),
        ({"occurred_at": "2026-03-01T12:06:00Z"}, "EVENT_FROM_FUTURE: "),
        ({"action": "rating", "stars": "6"}, "EVENT_INVALID: rating.stars"),
        ({"action": "rating"}, "ROW_INVALID: stars: ''"),
        ({"action": "add_to_cart", "quantity": "1.0"}, "ROW_INVALID: quantity: '1.0'"),
        ({"action": "purchase", "quantity": "1"}, "EVENT_INVALID: purchase.order_id"),
        ({"action": "search"}, "EVENT_INVALID: search.query"),
    ],
)
def test_wrong_rows(change: dict[str, str], said: str) -> None:
    """Each has its code, and the reason names the field."""
    assert refusal({**view(1), **change}).startswith(said)


def test_a_row_that_cannot_be_read() -> None:
    """What its reader says of it is the reason, whatever cells it has."""
    rows = [Row(1, view(1), 0), Row(2, view(2), 0, "is not in UTF-8")]
    first, second = maker(FileMapping(), list(view(1))).made(rows)
    assert isinstance(first.event, ShopperEvent)
    assert isinstance(second.event, EventRefused)
    assert (second.event.code, str(second.event)) == ("ROW_INVALID", "is not in UTF-8")
