"""What the door lets in: what the worker would fold, judged by the very same code."""

from __future__ import annotations

from typing import Final

from attune.events.v1.shopper_event_pb2 import ShopperEvent

from services.events.domain.record import Record
from services.shared.errors import EventRefused
from services.shared.event_age import AgeRule
from services.shared.event_codec import decode_event
from services.shared.media_type import PROTOBUF
from services.shared.subject import event_key, subject_of

HEADERS: Final = (("content-type", PROTOBUF.encode()),)


def admit(event: ShopperEvent, *, shop_id: str, now: int, age: AgeRule) -> Record:
    """The record of an event that the key of ``shop_id`` may write.

    What is written is decoded as the worker will decode it, so the worker refuses none of it
    but for its age: that it judges by the broker's clock, and we by ``now``, in microseconds
    since 1970. Raises EventRefused.
    """
    if event.shop_id not in ("", shop_id):
        raise EventRefused(
            "EVENT_SHOP_MISMATCH",
            f"shop_id is {event.shop_id[:100]!r}; the API key is of {shop_id!r}",
            fields=(("shop_id", f"must be empty or {shop_id!r}"),),
        )
    whole = ShopperEvent(shop_id=shop_id)
    whole.MergeFrom(event)
    key = event_key(shop_id, subject_of(whole.user_id, whole.visitor_id))
    value = whole.SerializeToString()
    age.check(decode_event(key, value, HEADERS).at, now)
    return Record(key, value, HEADERS)
