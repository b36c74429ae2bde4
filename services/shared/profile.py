"""A shopper's profile: a bounded set of events for each kind, never a sum.

A profile is what the shopper's events leave after *set union and cutting*: of each kind the
newest :data:`BOUNDS` entries, ordered by (time, event). :func:`merge` is associative,
commutative and idempotent, so any order, any repetition and any split of the events over
workers and batches ends in the same profile, and nothing can be counted twice because
nothing is added up. It is a join semilattice, as in state-based CRDTs (Shapiro et al.,
"Conflict-free Replicated Data Types", SSS 2011).

Where one event id comes with two different contents (a producer's mistake), the greater
entry wins: keeping the maximum commutes with cutting away the oldest, the minimum would not.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Final, TypeVar

import msgspec
import xxhash


class Entry(msgspec.Struct, frozen=True, order=True, array_like=True, gc=False):
    """What all kinds share. ``at`` is microseconds since 1970, by the shop's clock.

    ``event`` names the event, see :func:`event_hash`. ``line`` tells the products of one event
    apart (the lines of an order), else it is 0.
    """

    at: int
    event: int
    line: int


class Search(Entry, frozen=True, order=True, array_like=True, gc=False):
    """Words searched for."""

    query: str


class Touch(Entry, frozen=True, order=True, array_like=True, gc=False):
    """A product that was viewed, clicked or refused."""

    product_id: str


class Shown(Entry, frozen=True, order=True, array_like=True, gc=False):
    """Products that were shown together, in their order."""

    product_ids: tuple[str, ...]


class Cart(Entry, frozen=True, order=True, array_like=True, gc=False):
    """A change of the cart; ``quantity`` is negative for what was taken out."""

    product_id: str
    quantity: int


class Purchase(Entry, frozen=True, order=True, array_like=True, gc=False):
    """One line of an order. ``unit_price`` is in millionths of ``currency``; "" if unknown."""

    product_id: str
    order_id: str
    quantity: int
    unit_price: int
    currency: str


class Cancel(Entry, frozen=True, order=True, array_like=True, gc=False):
    """An order, or one product of it, taken back; ``product_id`` "" means the whole order."""

    product_id: str
    order_id: str
    quantity: int


class Rating(Entry, frozen=True, order=True, array_like=True, gc=False):
    """A product rated with 1 to 5 stars."""

    product_id: str
    stars: int


class Link(Entry, frozen=True, order=True, array_like=True, gc=False):
    """A visitor that became this user (``linked``), or stopped being so (logout)."""

    visitor_id: str
    linked: bool


class Profile(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """All that is kept of one shopper. Each tuple is ordered, oldest first, and bounded.

    ``first_seen`` and ``last_seen`` are microseconds since 1970; 0 in an empty profile.
    """

    first_seen: int = 0
    last_seen: int = 0
    searches: tuple[Search, ...] = ()
    views: tuple[Touch, ...] = ()
    carts: tuple[Cart, ...] = ()
    purchases: tuple[Purchase, ...] = ()
    cancels: tuple[Cancel, ...] = ()
    impressions: tuple[Shown, ...] = ()
    clicks: tuple[Touch, ...] = ()
    ratings: tuple[Rating, ...] = ()
    not_interested: tuple[Touch, ...] = ()
    links: tuple[Link, ...] = ()


BOUNDS: Final[Mapping[str, int]] = {
    "searches": 20,
    "views": 100,
    "carts": 50,
    "purchases": 100,
    "cancels": 100,
    "impressions": 50,
    "clicks": 50,
    "ratings": 50,
    "not_interested": 50,
    "links": 20,
}
"""How many entries of each kind are kept; the names are those of :class:`Profile`."""

KINDS: Final[Mapping[str, type[Entry]]] = {
    "searches": Search,
    "views": Touch,
    "carts": Cart,
    "purchases": Purchase,
    "cancels": Cancel,
    "impressions": Shown,
    "clicks": Touch,
    "ratings": Rating,
    "not_interested": Touch,
    "links": Link,
}
"""What the entries of each kind are."""

AUTOMATED_EVENTS: Final = 50
AUTOMATED_WITHIN: Final = 60_000_000
"""Microseconds. Nobody opens fifty products in a minute; who does is a program."""

EMPTY: Final = Profile()

E = TypeVar("E", bound=Entry)

_HASH: Final = re.compile(r"[0-9a-f]{16}")


def event_hash(event_id: str) -> bytes:
    """The 8 bytes that stand for an event in its shopper's profile: XXH3-64 of its id.

    Two of a shopper's at most 650 kept entries share one by chance in one of 10^13 profiles;
    whoever makes such ids on purpose loses events of their own. An id of 16 lower-case
    hexadecimal digits is taken for those bytes themselves, so that what an older layout writes
    as text comes back as it was.
    """
    if len(event_id) == 16 and _HASH.fullmatch(event_id):
        return bytes.fromhex(event_id)
    return xxhash.xxh3_64_digest(event_id.encode())


def newest(entries: Iterable[E], bound: int) -> tuple[E, ...]:
    """The ``bound`` greatest entries by (time, event, line), one for each event and line."""
    kept: dict[tuple[int, int], E] = {}
    for entry in entries:
        key = (entry.event, entry.line)
        known = kept.get(key)
        if known is None or entry > known:
            kept[key] = entry
    return tuple(sorted(kept.values())[-bound:])


def merge(one: Profile, other: Profile) -> Profile:
    """Everything both know: set union, then cutting to :data:`BOUNDS`."""
    return merge_all((one, other))


def merge_all(profiles: Iterable[Profile]) -> Profile:
    """What merging all of them pairwise gives, in one pass over their entries.

    Each must be ordered and bounded as :func:`newest` leaves it, which every profile is
    that was made here; a kind that only one of them has is then taken as it is.
    """
    some = [profile for profile in profiles if profile != EMPTY]
    if len(some) <= 1:
        return some[0] if some else EMPTY
    kinds: dict[str, tuple[Entry, ...]] = {}
    for kind, bound in BOUNDS.items():
        parts = [part for profile in some if (part := getattr(profile, kind))]
        if parts:
            kinds[kind] = newest(chain.from_iterable(parts), bound) if parts[1:] else parts[0]
    return Profile(
        first_seen=min(profile.first_seen for profile in some),
        last_seen=max(profile.last_seen for profile in some),
        **kinds,  # type: ignore[arg-type]  # each kind holds entries of its own class
    )


def linked_visitors(profile: Profile) -> tuple[str, ...]:
    """The visitors that are this user now: linked, and not signed out since; newest first."""
    latest = {link.visitor_id: link for link in profile.links}
    live = (link for link in latest.values() if link.linked)
    return tuple(link.visitor_id for link in sorted(live, reverse=True))


def bought(profile: Profile) -> tuple[Purchase, ...]:
    """The purchases that were not taken back, oldest first; their quantity is what was kept.

    A line that was taken back in part stays with the rest, a cancelled order with nothing.
    """
    if not profile.cancels:
        return profile.purchases
    orders = {cancel.order_id for cancel in profile.cancels if not cancel.product_id}
    back: Counter[tuple[str, str]] = Counter()
    for cancel in profile.cancels:
        back[cancel.order_id, cancel.product_id] += cancel.quantity
    kept = []
    for line in profile.purchases:
        taken = min(back[line.order_id, line.product_id], line.quantity)
        back[line.order_id, line.product_id] -= taken
        if line.order_id in orders or taken == line.quantity:
            continue
        rest = line.quantity - taken
        kept.append(msgspec.structs.replace(line, quantity=rest) if taken else line)
    return tuple(kept)


def is_automated(profile: Profile) -> bool:
    """Whether a program made this profile: :data:`AUTOMATED_EVENTS` views or clicks in a minute."""
    return any(is_rapid([entry.at for entry in kind]) for kind in (profile.views, profile.clicks))


def is_rapid(times: Sequence[int]) -> bool:
    """Whether so many of these moments, in order, lie within :data:`AUTOMATED_WITHIN`."""
    ahead = times[AUTOMATED_EVENTS - 1 :]
    return any(end - start < AUTOMATED_WITHIN for start, end in zip(times, ahead, strict=False))
