"""Whatever an event is changed into: both ways of reading it come to the same verdict."""

from __future__ import annotations

import contextlib
import copy
import json
import random
import re
from typing import Any

import protovalidate
import pytest
from attune.events.v1.shopper_event_pb2 import OrderLine, ShopperEvent
from google.protobuf import json_format
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError

from services.shared import event_protobuf
from services.shared.errors import EventRefused
from services.shared.event_codec import decode_event
from services.shared.event_json import read_event
from services.shared.event_protobuf import event_of
from services.shared.subject import event_key, subject_of
from tests.profile_events import USUAL, Event, said

VALIDATOR = protovalidate.Validator()
STRANGE: list[Any] = [
    None, "", "1", '":', "\x7f", '"', "\u00e9\u4e2d", "a", "x" * 129, "{",
    "a\nb", "\x00", "é" * 128, "demo\n", 0, 1, -1, 1.0, 1.5,
    2**31, 1_000_001, True, [], {}, [1], ["p"], ["p"] * 201, [""], {"x": 1}, {"x": "y"},
    "2026-03-01T12:00:00Z", "2026-03-01 12:00:00Z", "2026-03-01T12:00:00.123Z",
    "2026-03-01T12:00:00.1234567Z", "2026-03-01T12:00:00+01:00", "2026-02-30T12:00:00Z",
    "2026-03-01T24:00:00Z", "1969-12-31T23:59:59.500000Z", "0001-01-01T00:00:00Z",
    {"productId": "p"}, {"product_id": "p"}, {"productId": "p", "quantity": 1}, {"query": "q"},
    [{"productId": "p", "quantity": 1}], [{"productId": "p", "quantity": 0}],
    [{"productId": "p", "quantity": 1, "unitPrice": {"currencyCode": "USD", "units": "3"}}],
    [{"productId": "p", "quantity": 1, "unitPrice": {"currencyCode": "USD", "units": 10**9}}],
    [{"productId": "p", "quantity": 1, "unitPrice": {"currencyCode": "USD", "units": "-1"}}],
    [{"productId": "p", "quantity": 1, "unitPrice": {"currencyCode": "usd", "nanos": 1}}],
]  # fmt: skip
NAMES = [
    *(field.json_name for field in ShopperEvent.DESCRIPTOR.fields), "event_id", "extra",
    "productId", "quantity", "lines", "orderId", "query", "filters", "resultCount", "stars",
    "productIds", "unitPrice",
]  # fmt: skip


def mutated(one: Event, chance: random.Random) -> bytes:
    """An event with a few fields changed, dropped or added, and now and then broken bytes."""
    record: dict[str, Any] = json.loads(json.dumps(one))
    for _ in range(chance.randint(0, 3)):
        inner = [record, *(part for part in record.values() if isinstance(part, dict))]
        holder, name = chance.choice(inner), chance.choice(NAMES)
        if chance.random() < 0.3:
            holder.pop(name, None)
        else:
            holder[name] = copy.deepcopy(chance.choice(STRANGE))
    spaces = chance.choice([None, (",", ":"), (", ", " : "), (",\n", ":\t")])
    text = json.dumps(record, ensure_ascii=chance.random() < 0.5, separators=spaces).encode()
    if chance.random() < 0.1:
        at = chance.randrange(len(text))
        text = text[:at] + bytes([chance.randrange(256)]) + text[at + 1 :]
    return text


def parsed(value: bytes) -> ShopperEvent | None:
    """What Protobuf's own reader makes of a value; None where it cannot be read."""
    try:
        return json_format.Parse(value, ShopperEvent())
    except (json_format.ParseError, ValueError, TypeError, RecursionError):
        return None


def verdict(message: ShopperEvent | None) -> tuple[Any, ...] | None:
    """What the limits of the proto make of what was read; None: refused."""
    if message is None:
        return None
    lines = [*message.purchase.lines, *message.cancel.lines]
    if VALIDATOR.collect_violations(message) or not all(map(is_priced_rightly, lines)):
        return None
    return said(event_of(message))


def is_priced_rightly(line: OrderLine) -> bool:
    """The limits that the proto states for a price in words."""
    money = line.unit_price
    return not line.HasField("unit_price") or bool(
        re.fullmatch("[A-Z]{3}", money.currency_code)
        and 0 <= money.units <= 10**9
        and 0 <= money.nanos < 10**9
    )


@pytest.mark.parametrize("seed", range(4))
def test_mutated_json_gets_the_verdict_of_protobuf(seed: int) -> None:
    """On 100,000 events: taken alike, to the same end, or refused alike."""
    chance = random.Random(seed)
    fast = 0
    for _ in range(25_000):
        value = mutated(chance.choice(USUAL), chance)
        message = parsed(value)
        expected = verdict(message)
        try:
            found = decode_event(key_as_told(message), value, ())
        except EventRefused:
            assert expected is None, value
        else:
            assert said(found) == expected, value
            fast += read_event(value) is not None
    assert fast > 2_500


def mutated_time(chance: random.Random) -> str:
    """A time with a few characters changed, put in or left out."""
    time: str = chance.choice([USUAL[0]["occurredAt"], "2026-03-01T12:00:00.123Z"])
    for _ in range(chance.randint(1, 3)):
        at, what = chance.randrange(len(time)), chance.choice("0123456789--::TTW.,+Zz \u0663")
        time = time[:at] + chance.choice(["", what, what]) + time[at + chance.randint(0, 1) :]
    return time


def test_mutated_times_get_the_verdict_of_protobuf() -> None:
    """What the fast way takes for a time, Protobuf's own reader takes for the same."""
    chance, taken = random.Random(0), 0
    for _ in range(100_000):
        value = json.dumps({**USUAL[0], "occurredAt": mutated_time(chance)}).encode()
        if (found := read_event(value)) is not None:
            assert said(found) == verdict(parsed(value)), value
            taken += 1
    assert taken > 1_000


def mutated_message(one: ShopperEvent, chance: random.Random) -> bytes:
    """A binary event with a few fields of it, or of what is in it, set to something strange."""
    message = copy.deepcopy(one)
    for _ in range(chance.randint(0, 3)):
        inner: Any = [message, *(value for field, value in message.ListFields() if is_one(field))]
        holder = chance.choice(inner)
        field = chance.choice(holder.DESCRIPTOR.fields or message.DESCRIPTOR.fields[:5])
        if field.name not in holder.DESCRIPTOR.fields_by_name or chance.random() < 0.2:
            cleared: Any = message
            cleared.ClearField(chance.choice(message.DESCRIPTOR.fields).name)
        else:
            spoil(holder, field, chance)
    value = message.SerializeToString()
    if value and chance.random() < 0.05:
        at = chance.randrange(len(value))
        value = value[:at] + bytes([chance.randrange(256)]) + value[at + 1 :]
    return value


def is_one(field: FieldDescriptor) -> bool:
    return field.message_type is not None and not field.is_repeated


def spoil(holder: Any, field: FieldDescriptor, chance: random.Random) -> None:
    """Set one field to something of its type, often beyond its limits."""
    texts = ["", "a", "x" * 128, "x" * 129, "é" * 128, "a\nb", "\x7f", "demo\n", "{", "usd", "EUR"]
    numbers = [0, 1, -1, 5, 6, 10**6, 10**6 + 1, 2**31 - 1, -(2**31)]
    part = getattr(holder, field.name)
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        part.update({chance.choice(texts): chance.choice(texts) for _ in range(2)})
    elif field.message_type is not None:
        (part.add() if field.is_repeated else part.SetInParent())
    elif field.is_repeated:
        part.extend([chance.choice(texts)] * chance.choice([1, 1, 300]))
    elif field.type == FieldDescriptor.TYPE_STRING:
        setattr(holder, field.name, chance.choice(texts))
    else:
        setattr(holder, field.name, chance.choice(numbers))


def verdict_on_message(value: bytes) -> tuple[Any, ...] | None:
    """What protovalidate, and the limits in words, make of a binary event; None: refused."""
    try:
        message = ShopperEvent.FromString(value)
    except DecodeError:
        return None
    lines = [*message.purchase.lines, *message.cancel.lines]
    if VALIDATOR.collect_violations(message) or not all(map(is_priced_rightly, lines)):
        return None
    try:
        message.occurred_at.ToJsonString()
    except ValueError:  # no time that Protobuf can tell
        return None
    return said(event_of(message))


@pytest.mark.parametrize("seed", range(4))
def test_mutated_messages_get_the_verdict_of_protovalidate(seed: int) -> None:
    """On 100,000 binary events: taken alike, to the same end, or refused alike; most fast."""
    usual = [json_format.ParseDict(one, ShopperEvent()) for one in USUAL]
    chance = random.Random(seed)
    fast = 0
    for _ in range(25_000):
        value = mutated_message(chance.choice(usual), chance)
        expected = verdict_on_message(value)
        try:
            found = decode_event(key_of_message(value), value, AS_PROTOBUF)
        except EventRefused:
            assert expected is None, value
        else:
            assert said(found) == expected, value
            fast += event_protobuf.read_event(value) is not None
    assert fast > 5_000


AS_PROTOBUF = (("content-type", b"application/protobuf"),)


def key_of_message(value: bytes) -> bytes:
    with contextlib.suppress(DecodeError):
        message = ShopperEvent.FromString(value)
        return event_key(message.shop_id, subject_of(message.user_id, message.visitor_id))
    return b"demo/u:ana"


def key_as_told(message: ShopperEvent | None) -> bytes:
    """The key that belongs to a value, where it can be read at all."""
    if message is not None:
        with contextlib.suppress(ValueError, TypeError):
            return event_key(message.shop_id, subject_of(message.user_id, message.visitor_id))
    return b"demo/u:ana"
