"""What a shop says of one product: what it is, and on what terms it can be had."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

NO_ATTRIBUTES: Final[Mapping[str, str]] = MappingProxyType({})


class Listing(NamedTuple):
    """What a product is, as far as answers show it, search finds it or filters ask for it."""

    title: str
    category_path: tuple[str, ...]
    merchant_id: str
    brand: str = ""
    attributes: Mapping[str, str] = NO_ATTRIBUTES
    listed_at: int | None = None
    """Microseconds since 1970; None where the shop did not say."""


class Price(NamedTuple):
    """What one piece costs: ``units`` and billionths (``nanos``) of ``currency``."""

    currency: str
    units: int
    nanos: int


class Terms(NamedTuple):
    """On what terms a product can be had now."""

    price: Price | None
    available: bool


UNOFFERED: Final = Terms(price=None, available=True)
"""The terms of a product that no offer is known of."""
