"""The cleaning rules: what each leaves out, and what it must leave alone."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

import narwhals as nw
import numpy as np
import polars as pl
import pytest

from model_export.preparation.reasons import BY_CODE
from model_export.preparation.rows import CANCEL, UNREAD, WHOLE_ORDER, filled
from model_export.preparation.rules import row_rules
from model_export.preparation.settings import Cleaning, cleaning
from services.shared.errors import BadSetting
from services.shared.model_input import (
    ACTIONS,
    CART,
    CLICK,
    IMPRESSION,
    PURCHASE,
    SEARCH,
    VIEW,
    interactions,
)
from services.shared.profile import bought
from tests.preparation_parts import DAY, HOUR, MAY, MINUTE, SECOND, clean, reasons_of, row
from tests.profile_events import NOON, event, folded

QUICK = Cleaning(bot_events_a_minute=5, bot_products_a_day=6)


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ({}, ""),
        ({"user_id": None}, "incomplete"),
        ({"thing": None}, "incomplete"),
        ({"at": None}, "incomplete"),
        ({"at": -1}, "before_1970"),
        ({"at": MAY + DAY + 1}, "from_the_future"),
        ({"at": MAY + DAY}, ""),
        ({"price": 0.0}, "price_impossible"),
        ({"price": -3.0}, "price_impossible"),
        ({"price": math.nan}, "price_impossible"),
        ({"price": math.inf}, "price_impossible"),
        ({"price": None}, ""),
        ({"action": UNREAD, "user_id": None}, "other_action"),
    ],
)
def test_a_row_by_itself(told: dict[str, object], reason: str) -> None:
    """Impossible moments and prices, and rows that say of nobody what they did."""
    frame = pl.DataFrame([{**row(0, latest=MAY + DAY), "price": 1.0, **told}])
    found = row_rules(nw.from_native(filled(frame, 0), eager_only=True)).to_native()["reason"][0]
    assert (BY_CODE[found].name if found else "") == reason


def test_an_event_that_was_sent_again() -> None:
    """It counts once, wherever it comes again; the lines of one event are not each other."""
    rows = [
        row(0, "mug", PURCHASE, event_id="e1"),
        row(0, "pen", PURCHASE, event_id="e1"),
        row(9, "mug", PURCHASE, event_id="e1"),
        row(9, "mug", PURCHASE, event_id="e1", user_id="ben"),
    ]
    assert reasons_of(rows) == ["", "", "same_event", ""]


def test_the_same_at_the_same_moment() -> None:
    """Twice the same look is one; another action, moment or order is another."""
    rows = [
        row(0),
        row(0),
        row(0, action=CLICK),
        row(1),
        row(0, action=PURCHASE, order_id="o1"),
        row(0, action=PURCHASE, order_id="o2"),
        row(0, action=PURCHASE, order_id="o2"),
    ]
    assert reasons_of(rows) == ["", "same_moment", "", "", "", "", "same_moment"]


def test_who_is_faster_than_a_person() -> None:
    """Five looks within a minute are a program's here: all that it did goes, nobody else's."""
    fast = [row(n * 14 * SECOND, f"i{n}") for n in range(5)]
    slow = [row(n * 15 * SECOND, f"i{n}", user_id="ben") for n in range(9)]
    rows = [*fast, row(DAY, "mug", PURCHASE), *slow]
    limits = Cleaning(bot_events_a_minute=5)
    assert reasons_of(rows, limits) == ["bot_by_rate"] * 6 + [""] * 9


def test_what_takes_no_time_is_nobodys_pace() -> None:
    """An order of many lines, a cart filled at once, a page of impressions: a person's."""
    rows = [row(0, f"i{n}", action) for action in (PURCHASE, CART, IMPRESSION) for n in range(9)]
    assert set(reasons_of(rows, QUICK)) == {""}


def test_pace_is_not_judged_by_the_day() -> None:
    """Where moments are days, forty looks on one are no haste."""
    rows = [row(n // 5 * DAY, f"i{n}") for n in range(40)]
    assert set(reasons_of(rows, QUICK, is_paced=False)) == {""}


def test_repetitions_make_nobody_a_bot() -> None:
    """What was sent ten times is one look, in pace and in breadth."""
    rows = [row(0, "mug", event_id="e") for _ in range(10)]
    assert reasons_of(rows, QUICK) == [""] + ["same_event"] * 9


def test_who_looks_at_too_many_products() -> None:
    """Six different products on one day here; the same ones again do not count, nor do orders."""
    broad = [row(n * HOUR, f"i{n}") for n in range(6)]
    again = [row(n * HOUR, f"i{n % 5}", user_id="ben") for n in range(20)]
    orders = [row(HOUR, f"i{n}", PURCHASE, user_id="cat") for n in range(20)]
    found = reasons_of([*broad, *again, *orders], QUICK)
    assert found == ["bot_by_breadth"] * 6 + [""] * 40


def test_a_price_far_from_the_others() -> None:
    """Cents for euros are a hundred times the median; a half-price sale is not a mistake."""
    prices = [10.0, 11.0, 9.0, 10.0, 5.0, 1000.0, 0.4]
    rows = [row(n * HOUR, price=price) for n, price in enumerate(prices)]
    few = [row(n * HOUR, "pen", price=price) for n, price in enumerate([1.0, 1.0, 100.0])]
    assert reasons_of([*rows, *few]) == [""] * 5 + ["price_absurd"] * 2 + [""] * 3


def test_an_order_taken_back() -> None:
    """Whole, or lines of it; what is taken back in part stays, and nobody else's goes."""
    rows = [
        row(0, "mug", PURCHASE, order_id="o1", quantity=2),
        row(0, "pen", PURCHASE, order_id="o1", quantity=1),
        row(1, "mug", CANCEL, order_id="o1", quantity=1),
        row(1, "pen", CANCEL, order_id="o1", quantity=1),
        row(2, "cup", PURCHASE, order_id="o2", quantity=1),
        row(3, WHOLE_ORDER, CANCEL, order_id="o2"),
        row(2, "cup", PURCHASE, order_id="o2", user_id="ben"),
        row(4, "cup", PURCHASE),
    ]
    back = "cancellation"
    assert reasons_of(rows) == ["", "cancelled", back, back, "cancelled", back, "", ""]


def test_orders_are_taken_back_as_serving_does() -> None:
    """Over random orders and cancellations: what is kept is what the shopper's profile keeps."""
    chance = np.random.default_rng(3)
    for _ in range(20):
        rows, events = [], []
        for n in range(12):
            order, item = f"o{chance.integers(3)}", f"i{chance.integers(3)}"
            told = {"order_id": order, "quantity": int(chance.integers(1, 4))}
            line = {"productId": item, "quantity": told["quantity"]}
            is_whole = chance.random() < 0.1
            if n < 7:
                rows.append(row(n * HOUR, item, PURCHASE, **told))
                said: dict[str, Any] = {"purchase": {"orderId": order, "lines": [line]}}
            else:
                rows.append(row(n * HOUR, WHOLE_ORDER if is_whole else item, CANCEL, **told))
                said = {"cancel": {"orderId": order, "lines": [] if is_whole else [line]}}
            events.append(event(n, at=NOON + timedelta(hours=n), **said))
        kept = clean(rows).filter(action=PURCHASE, reason="")
        served = [(each.product_id, each.at) for each in bought(folded(events))]
        hours = [(thing, (at - MAY) // HOUR) for thing, at in kept.select("thing", "at").rows()]
        noon = int(NOON.timestamp()) * SECOND
        assert hours == [(item, (at - noon) // HOUR) for item, at in served]


def test_sessions_end_by_silence() -> None:
    """More than half an hour without a sign begins another."""
    rows = [row(0), row(30 * MINUTE), row(61 * MINUTE), row(0, user_id="ben")]
    assert clean(rows)["session"].to_list() == [0, 0, 1, 0]


def test_sessions_by_their_ids() -> None:
    """Sessions of two devices stay apart although their moments interleave."""
    ids = ["a", "b", "a", None, "b"]
    rows = [row(n * HOUR, session_id=each) for n, each in enumerate(ids)]
    assert clean(rows)["session"].to_list() == [0, 1, 0, 2, 1]


def test_what_was_shown_stays_when_it_is_chosen() -> None:
    """Whatever became of it, in the session or later: the choice follows as its own row."""
    rows = [
        row(0, "mug", IMPRESSION),
        row(0, "pen", IMPRESSION),
        row(0, "pen", IMPRESSION),
        row(MINUTE, "mug", CLICK),
        row(2 * HOUR, "pen", VIEW),
    ]
    assert reasons_of(rows) == ["", "", "same_moment", "", ""]


def test_a_history_up_to_a_moment_is_what_serving_reads_then() -> None:
    """Over random events: nothing that comes later takes back what was known before."""
    chance = np.random.default_rng(4)
    for _ in range(20):
        rows, events, at = [], [], 0
        for n in range(15):
            at += int(chance.choice([1, 20, 120])) * MINUTE
            session = str(chance.choice(["a", "b"]))
            things, action, said = anything(chance)
            head = {"event_id": f"e{n}", "session_id": session}
            rows += [row(at, thing, action, **head) for thing in things]
            moment = NOON + timedelta(microseconds=at)
            events.append(event(n, at=moment, sessionId=session, **said))
        kept = clean(rows).filter(reason="").select("at", "thing", "action").rows()
        for upto in range(1, 16):
            profile = folded(events[:upto])
            begun = int(NOON.timestamp()) * SECOND - MAY
            served = [
                (each.at - begun, each.product_id or each.query, each.action)
                for each in interactions(profile, ACTIONS)
            ]
            known = [each for each in kept if each[0] <= profile.last_seen - begun]
            assert sorted(served) == sorted(known)


def anything(chance: np.random.Generator) -> tuple[list[str], int, dict[str, Any]]:
    """Something that a shopper does: with which things, by which action, as an event says it."""
    things = chance.choice(["mug", "pen", "cup", "hat"], 3).tolist()
    one, line = things[:1], {"productId": things[0], "quantity": 1}
    return [
        (one, VIEW, {"view": {"productId": things[0]}}),
        (one, CLICK, {"click": {"productId": things[0]}}),
        (one, CART, {"addToCart": line}),
        (one, PURCHASE, {"purchase": {"orderId": "o", "lines": [line]}}),
        (one, SEARCH, {"search": {"query": things[0]}}),
        (things, IMPRESSION, {"impression": {"productIds": things}}),
    ][chance.choice(6, p=[0.1, 0.1, 0.1, 0.1, 0.1, 0.5])]


def test_a_row_has_the_first_reason_that_applies() -> None:
    """So the figures of a report add up to what was left out."""
    rows = [row(0, price=price, event_id="e") for price in (9.0, 10.0, 10.0, 11.0, 10.0, 5000.0)]
    assert reasons_of(rows) == ["", *["same_event"] * 4, "price_absurd"]


def test_limits_out_of_range() -> None:
    """The refusal names the option."""
    with pytest.raises(BadSetting, match="--bot-events-a-minute: Expected `int` >= 2"):
        cleaning({"bot_events_a_minute": 1})
    assert cleaning({"price_factor": 50.0}).price_factor == 50
