"""What filters and boosts may ask of the shopper whom a call is for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from math import inf
from operator import attrgetter
from statistics import median
from typing import Final

from services.recommendations.domain.catalog import Catalog
from services.shared.profile import EMPTY, Profile, Purchase, Touch, bought

LATELY: Final = 20
"""How many brands and categories are told at most."""

MILLION: Final = 1_000_000
MICROSECONDS_A_DAY: Final = 86_400_000_000
PATH_SEPARATOR: Final = " > "
"""Between the categories of a path that is one text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shopper:
    """One shopper at one moment; nothing is known of the one that is made without more."""

    known: bool = False
    signed_in: bool = False
    purchases: int = 0
    days_since_seen: float = inf
    language: str = ""
    country: str = ""
    device: str = ""
    brands: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    median_price: float = 0.0


STRANGER: Final = Shopper()


def shopper_of(
    profile: Profile,
    catalog: Catalog,
    *,
    now: int,
    signed_in: bool,
    language: str = "",
    country: str = "",
    device: str = "",
) -> Shopper:
    """What the profile says, read beside the catalogue, and what the caller says.

    ``now`` is microseconds since 1970; a shopper seen after it was seen now. Brands and
    categories are those of what was bought or viewed, newest first, of products that are listed.
    """
    kept = bought(profile)
    touched: list[Purchase | Touch] = [*kept, *profile.views]
    touched.sort(key=attrgetter("at"), reverse=True)
    rows = [row for each in touched if (row := catalog.row(each.product_id)) is not None]
    products = catalog.products
    return Shopper(
        known=profile != EMPTY,
        signed_in=signed_in,
        purchases=len(kept),
        days_since_seen=max(now - profile.last_seen, 0) / MICROSECONDS_A_DAY
        if profile != EMPTY
        else inf,
        language=language,
        country=country,
        device=device,
        brands=_newest(products.brands[row] for row in rows),
        categories=_newest(PATH_SEPARATOR.join(products.paths[row]) for row in rows),
        median_price=_median_price(kept),
    )


def unlisted(profile: Profile, catalog: Catalog) -> int:
    """How many of a shopper's interactions are with products that the catalogue lacks."""
    kinds = (profile.views, profile.clicks, profile.carts, profile.purchases)
    return catalog.lacks([each.product_id for kind in kinds for each in kind])


def _newest(texts: Iterable[str]) -> tuple[str, ...]:
    """The first that differ; empty ones say nothing."""
    return tuple(islice(filter(None, dict.fromkeys(texts)), LATELY))


def _median_price(lines: tuple[Purchase, ...]) -> float:
    """Of what one piece cost, in the currency that was paid last; 0 where no line says."""
    priced = [line for line in lines if line.currency]
    if not priced:
        return 0.0
    last = priced[-1].currency
    return median(line.unit_price for line in priced if line.currency == last) / MILLION
