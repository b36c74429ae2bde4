"""From the bytes of a ``shopper-events`` record to a checked :class:`Event`.

JSON in its usual form and Protobuf within its limits go fast ways
(:mod:`services.shared.event_json`, :mod:`services.shared.event_protobuf`); everything else
through Protobuf's own ``json_format``, which stays the authority on what is JSON of this
message, or through its binary parser, and then through the checks that the proto states.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

import msgspec
import protovalidate
from attune.events.v1.shopper_event_pb2 import ShopperEvent
from google.protobuf import json_format
from google.protobuf.message import DecodeError
from google.protobuf.timestamp_pb2 import Timestamp

from services.shared import event_json, event_protobuf
from services.shared.errors import EventRefused
from services.shared.event import Event
from services.shared.event_limits import PRICE_LIMIT, is_price
from services.shared.event_protobuf import event_of
from services.shared.media_type import JSON, PROTOBUF, media_type
from services.shared.subject import event_key
from services.shared.violations import path_of

VALUE_LIMIT: Final = 65_536
"""Bytes; a larger event is refused before it is parsed."""

CE_TYPE: Final = "attune.events.v1.ShopperEvent"

_FAST: Final = {JSON: event_json.read_event, PROTOBUF: event_protobuf.read_event}

_validator = protovalidate.Validator()

Headers = Sequence[tuple[str, bytes | None]]


class Record(Protocol):
    """What is used of a Kafka record."""

    @property
    def key(self) -> bytes | None:
        """``shop_id/subject``, if the producer did right."""

    @property
    def value(self) -> bytes | None:
        """The event."""

    @property
    def headers(self) -> Headers:
        """Names and values."""

    @property
    def offset(self) -> int:
        """Its place in the partition."""

    @property
    def timestamp(self) -> int:
        """When the broker appended it, in milliseconds since 1970."""


def decode_event(key: bytes | None, value: bytes | None, headers: Headers) -> Event:
    """The event of one record, checked against every limit of the proto but its age.

    Raises EventRefused with the code and the sentence that its dead letter will carry.
    """
    event = read_value(value, headers)
    check_key(event, key)
    return event


def read_value(value: bytes | None, headers: Headers) -> Event:
    """As :func:`decode_event`, whatever the record's key is. Raises EventRefused."""
    if value is None:
        raise EventRefused("EVENT_INVALID", "the record has no value; an event was expected")
    if len(value) > VALUE_LIMIT:
        raise EventRefused(
            "EVENT_TOO_LARGE", f"the event has {len(value)} bytes; at most {VALUE_LIMIT} are taken"
        )
    told = _texts(headers) if headers else {}
    kind = media_type(told.pop("content-type", "")) if told else JSON
    read = _FAST.get(kind)
    event = read(value) if read is not None and not told else None
    if event is None:
        event = _checked(value, kind, told)
    return event


def _checked(value: bytes, kind: str, told: Mapping[str, str]) -> Event:
    """The slow way: by Protobuf's own readers and checks. Raises EventRefused."""
    message = _parse(value, kind)
    _apply_cloudevents(message, told)
    _check_limits(message)
    _check_prices(message)
    try:
        return event_of(message)
    except ValueError as error:
        raise EventRefused("EVENT_INVALID", str(error)) from error


def _texts(headers: Headers) -> dict[str, str]:
    """The headers we read; one that is not UTF-8 shows as such in the refusal."""
    known = ("content-type", "ce_id", "ce_time", "ce_type")
    return {
        name.lower(): (text or b"").decode("utf-8", "replace")
        for name, text in reversed(headers)
        if name.lower() in known
    }


def _parse(value: bytes, kind: str) -> ShopperEvent:
    if kind == JSON:
        return _parse_json(value)
    if kind == PROTOBUF:
        return _parse_protobuf(value)
    raise EventRefused(
        "CONTENT_TYPE_UNKNOWN",
        f"content-type is {kind[:100]!r}; "
        "send application/json, application/protobuf or no such header",
    )


def _parse_json(value: bytes) -> ShopperEvent:
    try:
        parsed: Any = msgspec.json.decode(value)
        if not isinstance(parsed, dict):
            raise EventRefused("EVENT_NOT_JSON", "the value is JSON, but not an object {…}")
        return json_format.Parse(value, ShopperEvent(), max_recursion_depth=20)
    except msgspec.MsgspecError as error:
        raise EventRefused("EVENT_NOT_JSON", f"the value is not JSON: {error}"[:500]) from error
    except RecursionError as error:
        raise EventRefused("EVENT_NOT_JSON", "the value is nested too deeply") from error
    except (json_format.ParseError, ValueError, TypeError) as error:
        said = " ".join(str(error).split())[:400]
        raise EventRefused(
            "EVENT_NOT_JSON", f"the value is JSON, but not a ShopperEvent: {said}"
        ) from error


def _parse_protobuf(value: bytes) -> ShopperEvent:
    try:
        return ShopperEvent.FromString(value)
    except DecodeError as error:
        raise EventRefused(
            "EVENT_NOT_PROTOBUF", f"the value does not parse as a ShopperEvent: {error}"
        ) from error


def _apply_cloudevents(event: ShopperEvent, told: Mapping[str, str]) -> None:
    """Fill event_id and occurred_at from the Kafka binding's headers, or hold them equal.

    Of ``ce_type`` only names under ``attune.`` are ours to judge.
    """
    ce_type = told.get("ce_type", CE_TYPE)
    if ce_type.startswith("attune.") and ce_type != CE_TYPE:
        raise EventRefused("EVENT_INVALID", f"ce_type: must be {CE_TYPE}, is {ce_type[:100]!r}")
    if "ce_id" in told:
        if event.event_id not in ("", told["ce_id"]):
            raise EventRefused("EVENT_INVALID", "ce_id and event_id differ; send one")
        event.event_id = told["ce_id"]
    if "ce_time" in told:
        at = Timestamp()
        try:
            at.FromJsonString(told["ce_time"])
        except ValueError as error:
            raise EventRefused("EVENT_INVALID", f"ce_time: {error}"[:300]) from error
        if event.HasField("occurred_at") and event.occurred_at != at:
            raise EventRefused("EVENT_INVALID", "ce_time and occurred_at differ; send one")
        event.occurred_at.CopyFrom(at)


def _check_limits(event: ShopperEvent) -> None:
    violations = _validator.collect_violations(event)
    if violations:
        fields = tuple(
            (path_of(violation), violation.proto.message) for violation in violations[:5]
        )
        said = "; ".join(f"{path or 'event'}: {what}" for path, what in fields)
        raise EventRefused("EVENT_INVALID", said, fields=fields)


def _check_prices(event: ShopperEvent) -> None:
    """The limits of ``OrderLine.unit_price``, see the proto."""
    action = event.WhichOneof("action")
    if action not in ("purchase", "cancel"):
        return
    for number, line in enumerate(getattr(event, action).lines):
        money = line.unit_price
        if line.HasField("unit_price") and not is_price(
            money.units, money.nanos, money.currency_code
        ):
            path = f"{action}.lines[{number}].unit_price"
            what = f"must have a currency of three capital letters and be 0 to {PRICE_LIMIT:,}"
            raise EventRefused("EVENT_INVALID", f"{path}: {what}", fields=((path, what),))


def check_key(event: Event, key: bytes | None) -> None:
    """Raise EventRefused where ``key`` is not that of the event's shop and subject."""
    wanted = event_key(event.shop_id, event.subject)
    if key != wanted:
        has = "none" if key is None else repr(key[:300].decode("utf-8", "replace"))
        raise EventRefused(
            "EVENT_KEY_MISMATCH", f"the record's key is {has}; it must be {wanted.decode()!r}"
        )
