"""What cleaning goes by: limits that no person exceeds, and no name of a data set.

Each default says what it was derived from. They hold for shops of any size; what they cost a
data set is in its report.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from services.shared.errors import BadSetting
from services.shared.profile import AUTOMATED_EVENTS

Count = Annotated[int, Meta(ge=2, le=1_000_000_000)]


class Cleaning(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Limits of the rules; the text beside each is what ``prepare --help`` shows."""

    bot_events_a_minute: Annotated[
        Count,
        Meta(
            description="so many views, clicks or searches within a minute are a program's; the "
            "profiles of the server go by the same number"
        ),
    ] = AUTOMATED_EVENTS
    bot_products_a_day: Annotated[
        Count,
        Meta(
            description="so many different products looked at on one day are a program's: a "
            "product every half minute, for four hours without a pause, is 480"
        ),
    ] = 500
    price_factor: Annotated[
        float,
        Meta(
            gt=1,
            description="a price so many times above or below its product's median is a mistake: "
            "cents for euros are 100 times, a clearance sale is hardly ever 20",
        ),
    ] = 20.0
    price_rows: Annotated[
        Count, Meta(description="so many prices a product needs before its median is gone by")
    ] = 5
    session_minutes: Annotated[
        int,
        Meta(ge=1, le=10_080, description="minutes of silence that end a session without an id"),
    ] = 30
    price_bands: Annotated[
        int, Meta(ge=1, le=100, description="bands that hold about as many products each")
    ] = 10


def cleaning(told: Mapping[str, Any]) -> Cleaning:
    """Limits by name. Raises BadSetting with the option and what it may be."""
    try:
        return msgspec.convert(told, Cleaning)
    except msgspec.ValidationError as error:
        what, _, path = str(error).partition(" - at `$.")
        option = f"--{path.rstrip('`').replace('_', '-')}: " if path else ""
        raise BadSetting(option + what) from error
