"""The fast way from JSON to an :class:`Event`: canonical, within all limits, or not at all.

The type is made from the proto (:mod:`services.shared.proto_json`); what concerns several
fields is checked here. Whatever this does not take goes to ``json_format`` and protovalidate,
which alone say what is refused and why. A test holds the two equal on thousands of mutated
events.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from operator import attrgetter
from typing import Annotated, Any, Final

import msgspec
from attune.events.v1.shopper_event_pb2 import ShopperEvent
from msgspec import UNSET, Meta, UnsetType

from services.shared.event import Event
from services.shared.event_limits import PRICE_LIMIT, is_somebodys
from services.shared.json_keys import each_key_once
from services.shared.proto_json import struct_of

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


_USUAL: Final = ("view", "click", "impression", "add_to_cart")
_ACTIONS: Final = (
    *_USUAL,
    *(
        field.name
        for field in ShopperEvent.DESCRIPTOR.oneofs_by_name["action"].fields
        if field.name not in _USUAL
    ),
)
"""The most frequent first, which are then found first."""
_ESCAPED: Final = re.compile(rb"\\u00(22|3[aA])")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DAY: Final = 24 * 3600 * 1_000_000

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
        since = datetime.fromisoformat(read.occurred_at) - _EPOCH
    except (msgspec.MsgspecError, ValueError):  # also text that is no UTF-8, days that are none
        return None
    actions = _actions_of(read)
    if actions.count(UNSET) != len(actions) - 1:
        return None
    for action, what in zip(_ACTIONS, actions, strict=True):  # noqa: B007 - used below
        if what is not UNSET:
            break
    user_id, visitor_id = read.user_id or "", read.visitor_id or ""
    if not is_somebodys(user_id, visitor_id, action) or not _each_key_once(value, read):
        return None
    return Event(
        read.event_id,
        read.shop_id,
        user_id,
        visitor_id,
        since.days * _DAY + since.seconds * 1_000_000 + since.microseconds,
        action,
        what,
        read.session_id or "",
        read.attribution_token or "",
    )


def _each_key_once(value: bytes, read: Any) -> bool:
    """See :func:`each_key_once`: as many keys as there are when what was read is written again.

    A text that spells ``":`` with escapes would be written otherwise than it came, and could
    hide a key; such a one goes the slow way.
    """
    if b"\\u" in value and _ESCAPED.search(value):
        return False
    return each_key_once(value, _encode(read).count(b'":'))
