"""How many shoppers turned to a product in an hour: counts that a repeated batch cannot raise.

Three things keep them right. A *fence* for each shop and partition, the offset up to which
events are counted, holds a batch that comes again to nothing. A subject counts once for each
product and hour, judged by the profile before the batch, so an event that a producer sent
twice, or ten views of one page, are one, as long as the profile still knows the first: of
more than a hundred views within the hours in question the oldest are forgotten, and one of
them sent again counts again; of an order's lines the hundred that a profile keeps count. And
only events count that reached the broker within a week, as no one asks for older hours.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from services.shared.profile import EMPTY, Cart, Profile, Purchase, Touch

HOUR: Final = 3_600_000_000
"""Microseconds."""

COUNTED_FOR: Final = 7 * 24 * HOUR
"""Microseconds before its append; an event that is older counts nothing."""


class Folded(NamedTuple):
    """One accepted event of one shop and partition: where it stood and what it left."""

    offset: int
    subject: str
    appended: int
    """Microseconds since 1970, by the broker."""
    entries: Profile
    """The profile of this event alone."""

    @property
    def at(self) -> int:
        """When it happened, in microseconds since 1970."""
        return self.entries.first_seen


def increments(
    before: Mapping[str, Profile], events: Iterable[Folded], *, fence: int
) -> Counter[tuple[int, str]]:
    """New counts for each (hour, product): hour is Unix time // 3600.

    ``before`` are the subjects' profiles without this batch. Events below ``fence`` are
    counted already; they only tell what their subject is counted for.
    """
    counts: Counter[tuple[int, str]] = Counter()
    seen: dict[str, set[tuple[int, str]]] = {}
    timely = [event for event in events if event.appended - event.at <= COUNTED_FOR]
    since = min((event.at for event in timely), default=0) // HOUR * HOUR
    for event in timely:
        known = seen.get(event.subject)
        if known is None:
            known = seen[event.subject] = _touched(before.get(event.subject, EMPTY), since)
        for visit in _touched(event.entries, since) - known:
            known.add(visit)
            if event.offset >= fence:
                counts[visit] += 1
    return counts


def _touched(profile: Profile, since: int) -> set[tuple[int, str]]:
    """The (hour, product) pairs of a profile's views, clicks, carts and purchases.

    Entries before ``since`` (microseconds since 1970) are passed over.
    """
    pairs: set[tuple[int, str]] = set()
    kinds: tuple[Sequence[Touch | Purchase | Cart], ...] = (
        profile.views,
        profile.clicks,
        profile.purchases,
        [cart for cart in profile.carts if cart.quantity > 0] if profile.carts else (),
    )
    for ordered in kinds:
        for entry in reversed(ordered):  # the newest first: a batch is about the last hours
            if entry.at < since:
                break
            pairs.add((entry.at // HOUR, entry.product_id))
    return pairs
