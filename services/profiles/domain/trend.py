"""How many shoppers turned to a product in an hour: counts that a repeated batch cannot raise.

Three things keep them right. A *fence* for each shop and partition, the offset up to which
events are counted, holds a batch that comes again to nothing. A subject counts once for each
product and hour, judged by the profile before the batch, so an event that a producer sent
twice, or ten views of one page, are one, as long as the profile still knows the first: of
more than a hundred views within the hours in question the oldest are forgotten, and one of
them sent again counts again; of an order's lines the hundred that a profile keeps count. And
only events count that reached the broker within a week, as no one asks for older hours.

Programs do not make trends: from the moment that a profile's newest views or clicks come
faster than a person's (:func:`services.shared.profile.is_automated`) its events count nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping
from typing import Final

import msgspec

from services.profiles.domain.draft import HOUR, Draft, Visit
from services.profiles.domain.fold import Addition

COUNTED_FOR: Final = 7 * 24 * HOUR
"""Microseconds before its append; an event that is older counts nothing."""


Counts = MutableMapping[Visit, int]
"""How many shoppers turned to a product in an hour."""


class Placed(msgspec.Struct, frozen=True, gc=False):
    """What one event adds, and where it stood."""

    offset: int
    appended: int
    """Microseconds since 1970, by the broker."""
    added: Addition


def fold(
    draft: Draft, events: Iterable[Placed], counts: Counts | None = None, fence: int = 0
) -> None:
    """Add one subject's events to its draft, and to ``counts`` who turned to what.

    Events below ``fence`` are counted already; they only tell what their subject is counted
    for.
    """
    for one in events:
        added = one.added
        visited, at = added.visited, added.at
        if visited and counts is not None and one.appended - at <= COUNTED_FOR:
            hour = at // HOUR
            for product in visited:
                visit = (hour, product)
                is_new = draft.note_visit(visit)
                if is_new and one.offset >= fence and not draft.is_automated:
                    counts[visit] = counts.get(visit, 0) + 1
        draft.add(added)
