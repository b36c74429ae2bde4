"""What one record says: a list that was shown, or something that a shopper did.

A moment is when something happened by the shop's clock, but never after the broker got word of
it: a phone whose clock runs ahead cannot push its purchases beyond a window.
"""

from __future__ import annotations

from typing import Any, Final

from google.protobuf.message import Message
from msgspec import UNSET

from services.shared.event import Event
from services.shared.logged_answer import LoggedAnswer
from services.shared.trail import (
    Act,
    Cancel,
    Exposure,
    Labels,
    Line,
    Shown,
    Touch,
    name_hash,
    product_hash,
)

MOST_AMOUNT: Final = 1_000_000_000_000_000
"""Of one line, in millionths: a thousand million. What is beyond it is a slip of the pen."""

NOT_FALLBACKS: Final = frozenset({0, 6})
"""Causes that are none: the list is personal, or was not meant to be (the contract's NOT_ASKED)."""

Fact = Shown | Exposure | Touch | Act | Cancel


def answer_facts(answer: LoggedAnswer, appended: int) -> tuple[Shown, tuple[Exposure, ...]]:
    """The list, and an exposure for each experiment in which it was made.

    ``appended`` is when the broker got the record, in microseconds.
    """
    at = min(answer.answered_at, appended)
    rule = answer.attribution
    shown = Shown(
        at,
        name_hash(answer.attribution_token),
        Labels(answer.scenario, answer.method, answer.source, answer.model_version, answer.arms),
        rule.window_hours,
        rule.credit,
        rule.after,
        tuple(product_hash(each.product_id) for each in answer.products),
    )
    is_fallback = answer.fallback_cause not in NOT_FALLBACKS
    return shown, tuple(
        Exposure(experiment, arm, at, answer.took, is_fallback, at)
        for experiment, arm in answer.arms
    )


def event_facts(event: Event, appended: int) -> tuple[Fact, ...]:
    """What an event says of lists and purchases; nothing for most kinds of event."""
    at = min(event.at, appended)
    token = name_hash(event.attribution_token) if event.attribution_token else 0
    match event.action:
        case "impression" if token:
            products = dict.fromkeys(event.what.product_ids)
            return tuple(Touch(at, token, "seen", product_hash(each)) for each in products)
        case "click" if token:
            return (Touch(at, token, "clicked", product_hash(event.what.product_id)),)
        case "add_to_cart":
            return _carted(event, at, token)
        case "purchase":
            lines = tuple(_line(line) for line in event.what.lines)
            return (Act(at, _id(event), "purchase", token, _order(event), lines),)
        case "cancel":
            back = tuple((line.product_id, line.quantity) for line in event.what.lines or ())
            return (Cancel(at, _id(event), _order(event), back),)
    return ()


def _carted(event: Event, at: int, token: int) -> tuple[Fact, ...]:
    product_id = event.what.product_id
    act = Act(at, _id(event), "cart", token, 0, (Line(product_id, event.what.quantity),))
    if not token:
        return (act,)
    return (act, Touch(at, token, "carted", product_hash(product_id)))


def _line(line: Any) -> Line:
    is_said = (
        line.HasField("unit_price") if isinstance(line, Message) else line.unit_price is not UNSET
    )
    if not is_said:
        return Line(line.product_id, line.quantity)
    money = line.unit_price
    piece = int(money.units or 0) * 1_000_000 + (money.nanos or 0) // 1_000
    return Line(
        line.product_id, line.quantity, min(piece * line.quantity, MOST_AMOUNT), money.currency_code
    )


def _id(event: Event) -> int:
    """Unlike that of anybody else's event, as a visitor's trail hears of a user's."""
    return name_hash(f"{event.subject}/{event.event_id}")


def _order(event: Event) -> int:
    """An order of the same shopper: nobody takes back what another one has bought."""
    return name_hash(f"{event.subject}/{event.what.order_id}")
