"""One event as the worker folds it, however it was written."""

from __future__ import annotations

from typing import Any

import msgspec

from services.shared.subject import subject_of


class Event(msgspec.Struct, frozen=True, gc=False):
    """A ``ShopperEvent`` within all limits of its proto.

    ``what`` has the fields of the action's message under their proto names; it is that
    message or, where usual JSON was read at once, a msgspec struct made from it, in which a
    field that was left out is UNSET (and falsy).
    """

    event_id: str
    shop_id: str
    user_id: str
    visitor_id: str
    at: int
    """When it happened, in microseconds since 1970, by the shop's clock."""
    action: str
    """The name of the action that is set, such as ``add_to_cart``."""
    what: Any
    session_id: str = ""
    attribution_token: str = ""

    @property
    def subject(self) -> str:
        """Whose event it is."""
        return subject_of(self.user_id, self.visitor_id)
