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
from services.shared.proto_json import pattern_of, struct_of

CONTROLS: Final = r"^[^\x00-\x1f\x7f]*$"
CONTROLS_AND_BRACES: Final = r"^[^\x00-\x1f\x7f{}]*$"
SHOP: Final = r"^[a-z0-9][a-z0-9-]{0,62}$"
"""Patterns of the proto."""

SEEN_TO: Final = {
    "attune.events.v1.ShopperEvent.event_id": CONTROLS,
    "attune.events.v1.ShopperEvent.shop_id": SHOP,
    "attune.events.v1.ShopperEvent.user_id": CONTROLS_AND_BRACES,
    "attune.events.v1.ShopperEvent.visitor_id": CONTROLS_AND_BRACES,
}
"""What :func:`read_event` checks by itself: a pattern of msgspec's is a call of ``re.search``,
and all of them together took longer than reading the event."""


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
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DAY: Final = 24 * 3600 * 1_000_000

_MARKS: Final = frozenset({"--T::.", "--T::Z"})
"""What stands between the numbers of a time."""
_TIME_LENGTHS: Final = frozenset({20, 24, 27})
"""In seconds, milli- or microseconds."""

_control = re.compile(r"[\x00-\x1f\x7f]").search
_is_shop = re.compile(pattern_of(SHOP)).match
_shops: set[str] = set()
"""Names that were found to be right, so that each is looked at once."""
_SHOPS_LIMIT: Final = 10_000

_EventJson: Any = struct_of(
    ShopperEvent.DESCRIPTOR,
    {"google.type.Money": MoneyJson, "google.protobuf.Timestamp": str},
    seen_to=SEEN_TO,
)
_decode = msgspec.json.Decoder(_EventJson).decode
_encode = msgspec.json.Encoder().encode
_actions_of = attrgetter(*_ACTIONS)


def read_event(value: bytes) -> Event | None:
    """The event, or None where only Protobuf's own reader can tell what it is."""
    try:
        read = _decode(value)
        time = read.occurred_at
        if time[4:20:3] not in _MARKS or len(time) not in _TIME_LENGTHS or time[-1] != "Z":
            return None
        since = datetime.fromisoformat(time) - _EPOCH
    except (msgspec.MsgspecError, ValueError):  # also text that is no UTF-8, days that are none
        return None
    actions = _actions_of(read)
    if actions.count(UNSET) != len(actions) - 1:
        return None
    for action, what in zip(_ACTIONS, actions, strict=True):  # noqa: B007 - used below
        if what is not UNSET:
            break
    event = Event(
        read.event_id,
        read.shop_id,
        read.user_id or "",
        read.visitor_id or "",
        since.days * _DAY + since.seconds * 1_000_000 + since.microseconds,
        action,
        what,
        read.session_id or "",
        read.attribution_token or "",
    )
    return (
        event if _is_named_rightly(event, value) and each_key_once(value, _encode(read)) else None
    )


def _is_named_rightly(event: Event, value: bytes) -> bool:
    """Whether ids are as :data:`SEEN_TO` says, and the event is somebody's.

    JSON has no control characters but DEL, unless by an escape.
    """
    shop, user, visitor = event.shop_id, event.user_id, event.visitor_id
    if shop not in _shops:
        if not _is_shop(shop):
            return False
        if len(_shops) >= _SHOPS_LIMIT:
            _shops.clear()
        _shops.add(shop)
    if "{" in user or "}" in user or "{" in visitor or "}" in visitor:
        return False
    if (b"\\" in value or b"\x7f" in value) and _control(event.event_id + user + visitor):
        return False
    return is_somebodys(user, visitor, event.action)
