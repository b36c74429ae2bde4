"""The rows that every source is turned into, and what a source answers: a :class:`Feed`.

One row is one thing that one user did at one moment: with a product, with words (a search) or
with an order (a cancellation). An order's lines and the products of an impression are rows of
their own. Moments are microseconds since 1970.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import polars as pl

from services.shared.model_input import CART, CLICK, IMPRESSION, PURCHASE, SEARCH, VIEW

CANCEL: Final = -1
"""Takes back an order, or lines of it; cleaning uses it up."""
LINKED: Final = -2
"""This visitor (``user_id``) is that user (``thing``) from now on; gathering uses it up."""
UNLINKED: Final = -3
"""The visitor is nobody's again."""
UNREAD: Final = -4
"""Something that the model does not read."""

ACTION_NAMES: Final[Mapping[str, int]] = {
    "view": VIEW,
    "click": CLICK,
    "cart": CART,
    "add_to_cart": CART,
    "purchase": PURCHASE,
    "search": SEARCH,
    "impression": IMPRESSION,
    "cancel": CANCEL,
    "remove_from_cart": UNREAD,
    "rating": UNREAD,
    "not_interested": UNREAD,
}
"""What a table may call an action."""

WHOLE_ORDER: Final = ""
"""The ``thing`` of a cancellation that names no product."""

ROW: Final[Mapping[str, Any]] = {
    "user_id": pl.String,
    "thing": pl.String,  # a product's id, the words of a search, "" for a whole order
    "action": pl.Int8,  # one of model_input.ACTIONS, or one of those above
    "at": pl.Int64,
    "place": pl.Int64,  # in the input; orders what happened at one moment
    "event_id": pl.String,  # names the event within its user's events
    "session_id": pl.String,
    "order_id": pl.String,
    "quantity": pl.Int64,
    "price": pl.Float64,
}
"""A row while it is cleaned; all but the first five may be null."""

LATEST: Final = "latest"
"""A column of what sources yield: the last moment at which a row can have happened, or null."""

PRODUCT: Final[Mapping[str, Any]] = {
    "item_id": pl.String,
    "title": pl.String,
    "description": pl.String,
    "category": pl.List(pl.String),  # from the widest to the narrowest
    "brand": pl.String,
    "merchant_id": pl.String,
    "price": pl.Float64,
}
"""What a source says of a product; all but the first may be null."""

SAID: Final = tuple(name for name in PRODUCT if name not in ("item_id", "price"))
"""Columns in which rows themselves may tell of their product."""

GROUP: Final[Mapping[str, Any]] = {"user_id": pl.String, "group": pl.String}

PassedOver = Counter[str]
"""Names of reasons → rows that a source has read and does not yield."""


@dataclass(frozen=True, slots=True)
class Feed:
    """A source, ready to be read once."""

    name: str
    sha256: str
    """Of what is read: other data have another."""
    expected: int
    """About so many rows; 0 where nobody can tell."""
    batches: Callable[[PassedOver], Iterator[pl.DataFrame]]
    """Yields rows in the order of the input: columns of :data:`ROW` but ``place``,
    :data:`LATEST` and :data:`SAID`, as far as the source has them."""
    products: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=PRODUCT))
    """What is listed, also what nobody ever touched."""
    lost: Counter[str] = field(default_factory=Counter)
    """Names of ``reasons.LOSSES`` → how often, in reading the products."""
    groups: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=GROUP))
    """The demographic groups of users."""
    by_place: bool = False
    """The source has an order and no times."""


def filled(frame: pl.DataFrame, first_place: int) -> pl.DataFrame:
    """A batch with all columns of :data:`ROW`, and :data:`LATEST`."""
    places = pl.int_range(first_place, first_place + len(frame), dtype=pl.Int64, eager=True)
    wanted = {**ROW, LATEST: pl.Int64}
    return frame.with_columns(places.alias("place")).select(
        pl.col(name).cast(kind)
        if name in frame.columns or name == "place"
        else pl.lit(None, kind).alias(name)
        for name, kind in wanted.items()
    )
