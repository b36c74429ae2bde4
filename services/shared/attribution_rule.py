"""Which purchases count for a list, as a scenario says it and each logged answer repeats it."""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

LONGEST_WINDOW_HOURS: Final = 720

Credit = Literal["last", "first", "every"]
After = Literal["click", "impression", "answer"]


class Attribution(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which purchases count for this scenario's lists."""

    window_hours: Annotated[int, Meta(ge=1, le=LONGEST_WINDOW_HOURS)] = 168
    """After the answer."""
    credit: Credit = "last"
    """Of several lists that showed what was bought: the newest, the oldest, or each."""
    after: After = "click"
    """What must have happened to the product: chosen from the list, seen in it, or only listed."""
