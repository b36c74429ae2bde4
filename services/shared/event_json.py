"""The fast way from JSON to an :class:`Event`: canonical, within all limits, or not at all.

The type is made from the proto (:mod:`services.shared.proto_json`); what concerns several
fields is checked here. Whatever this does not take goes to ``json_format`` and protovalidate,
which alone say what is refused and why. A test holds the two equal on thousands of mutated
events.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from typing import Annotated, Any, Final

import msgspec
from attune.events.v1.shopper_event_pb2 import ShopperEvent
from msgspec import UNSET, Meta, UnsetType

from services.shared.event import Event
from services.shared.json_keys import each_key_once
from services.shared.proto_json import struct_of

PRICE_LIMIT: Final = 1_000_000_000
"""Of a currency's unit, for one piece."""

_Time = Annotated[str, Meta(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3}(\d{3})?)?Z\Z")]


class MoneyJson(msgspec.Struct, rename="camel", forbid_unknown_fields=True, gc=False):
    """``google.type.Money`` as a price; ``units`` is an int64, which JSON writes as text."""

    currency_code: Annotated[str, Meta(pattern=r"^[A-Z]{3}\Z")]
    units: (
        Annotated[int, Meta(ge=0, le=PRICE_LIMIT)]
        | Annotated[str, Meta(pattern=r"^(0|[1-9][0-9]{0,8})\Z")]
        | UnsetType
    ) = UNSET
    nanos: Annotated[int, Meta(ge=0, le=999_999_999)] | UnsetType = UNSET


_ACTIONS: Final = tuple(
    field.name for field in ShopperEvent.DESCRIPTOR.oneofs_by_name["action"].fields
)
_SIGN_IN_OR_OUT: Final = frozenset({"identify", "logout"})
_ESCAPED: Final = re.compile(rb"\\u00(22|3[aA])")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)

_EventJson: Any = struct_of(
    ShopperEvent.DESCRIPTOR,
    {"google.type.Money": MoneyJson, "google.protobuf.Timestamp": _Time},
)
_decode = msgspec.json.Decoder(_EventJson).decode
_encode = msgspec.json.Encoder().encode
_actions_of = attrgetter(*_ACTIONS)


def read_event(value: bytes) -> Event | None:
    """The event, or None where only Protobuf's own reader can tell what it is."""
    try:
        read = _decode(value)
        at = (datetime.fromisoformat(read.occurred_at) - _EPOCH) // _MICROSECOND
    except (msgspec.MsgspecError, ValueError):  # also text that is no UTF-8, days that are none
        return None
    chosen = [
        pair for pair in zip(_ACTIONS, _actions_of(read), strict=True) if pair[1] is not UNSET
    ]
    if len(chosen) != 1 or not _is_somebodys(read, chosen[0][0]) or not _each_key_once(value, read):
        return None
    ((action, what),) = chosen
    user_id, visitor_id = read.user_id or "", read.visitor_id or ""
    return Event(
        read.event_id,
        read.shop_id,
        user_id,
        visitor_id,
        at,
        action,
        what,
        read.session_id or "",
        read.attribution_token or "",
    )


def _is_somebodys(read: Any, action: str) -> bool:
    """The rules that the proto states for the whole message."""
    if action in _SIGN_IN_OR_OUT:
        return bool(read.user_id and read.visitor_id)
    return bool(read.user_id or read.visitor_id)


def _each_key_once(value: bytes, read: Any) -> bool:
    """See :func:`each_key_once`: as many keys as there are when what was read is written again.

    A text that spells ``":`` with escapes would be written otherwise than it came, and could
    hide a key; such a one goes the slow way.
    """
    if b"\\u" in value and _ESCAPED.search(value):
        return False
    return each_key_once(value, _encode(read).count(b'":'))
