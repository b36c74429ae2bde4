"""A profile while events are added to it, as bytes: most events never see the other entries.

An event that is newer than all of its kind, and that is not there yet, is put behind them, and
where there are too many the oldest goes: a few slices, whatever the profile holds. Any other,
late or sent twice, is merged as :func:`services.shared.profile.newest` says. A test holds that
both ways, in whatever order events come, end in the same bytes.
"""

from __future__ import annotations

from typing import Any, Final

from services.profiles.domain.fold import BOUND, Addition
from services.shared.profile import (
    AUTOMATED_EVENTS,
    AUTOMATED_WITHIN,
    Profile,
    newest,
)
from services.shared.profile_codec import decode, encode
from services.shared.profile_layout import (
    KEY_SIZES,
    KIND,
    LAYOUT,
    LayoutUnknown,
    Section,
    encode_item,
    is_whole,
    read_entries,
    read_sections,
    skip_item,
    write_entries,
    write_sections,
)

HOUR: Final = 3_600_000_000
"""Microseconds."""

Visit = tuple[int, str]
"""An hour (Unix time // 3600) and a product."""

_VIEWS: Final = KIND["views"]
_CLICKS: Final = KIND["clicks"]


class Draft:
    """The profile of one shopper, read from ``before`` (b"" for none) and added to."""

    __slots__ = ("_before", "_first", "_known", "_last", "_noted", "_sections")

    def __init__(self, before: bytes) -> None:
        """Raises LayoutUnknown for bytes that are no profile, or damaged."""
        self._before = before
        self._noted: set[Visit] | None = None
        self._known: set[Visit] | None = None
        self._sections: dict[int, Section] = {}
        if not before:
            self._first, self._last = 2**62, -(2**62)
            return
        current = before if before[0] == LAYOUT else encode(decode(before))
        if not is_whole(current):
            raise LayoutUnknown(f"profile of {len(before)} bytes is damaged: its checksum differs")
        self._first, self._last, self._sections = read_sections(current)

    def add(self, added: Addition) -> None:
        """Add what an event adds."""
        kind, at, keys = added.kind, added.at, added.keys
        section = (added.entries, keys, added.items)
        held = self._sections.get(kind)
        if held is not None:
            size, held_keys = KEY_SIZES[kind], held[1]
            if keys[:size] > held_keys[-size:] and keys[8:16] not in held_keys:
                section = _append(kind, held, section)
            else:
                section = _merge(kind, held, section)
        self._sections[kind] = section
        if at < self._first:
            self._first = at
        if at > self._last:
            self._last = at

    def value(self, layout: int = LAYOUT) -> bytes:
        """The bytes of the profile as it is now; b"" where nothing was ever added."""
        if not self._sections:
            return b""
        value = write_sections(self._first, self._last, self._sections)
        return value if layout == LAYOUT else encode(decode(value), layout)

    def note_visit(self, visit: Visit) -> bool:
        """Whether nobody knew of ``visit``: neither the profile before, nor an earlier call.

        The profile is read only where it has the product's id somewhere.
        """
        if self._noted is None:
            self._noted = {visit}
        elif visit in self._noted:
            return False
        else:
            self._noted.add(visit)
        if not self._before:
            return True
        if self._known is None:
            if encode_item(visit[1]) not in self._before:
                return True
            self._known = _visits(decode(self._before))
        return visit not in self._known

    @property
    def is_automated(self) -> bool:
        """Whether its newest views or clicks came faster than a person's."""
        views, clicks = self._sections.get(_VIEWS), self._sections.get(_CLICKS)
        return bool(
            (views and views[0] >= AUTOMATED_EVENTS and _is_rapid(views[1]))
            or (clicks and clicks[0] >= AUTOMATED_EVENTS and _is_rapid(clicks[1]))
        )


def _append(kind: int, held: Section, added: Section) -> Section:
    """Put newer entries behind the others; the oldest beyond the bound go."""
    total, all_keys, all_items = held[0] + added[0], held[1] + added[1], held[2] + added[2]
    surplus = total - BOUND[kind]
    if surplus <= 0:
        return total, all_keys, all_items
    at = 0
    for _ in range(surplus):
        at = skip_item(all_items, at)
    return BOUND[kind], all_keys[surplus * KEY_SIZES[kind] :], all_items[at:]


def _merge(kind: int, held: Section, added: Section) -> Section:
    """What is kept of both, whatever their order."""
    entries: list[Any] = [*read_entries(kind, held), *read_entries(kind, added)]
    return write_entries(kind, newest(entries, BOUND[kind]))


def _is_rapid(keys: bytes) -> bool:
    """Whether the newest :data:`AUTOMATED_EVENTS` keys, of at least so many, lie in a minute."""
    size = KEY_SIZES[_VIEWS]
    earlier = len(keys) - AUTOMATED_EVENTS * size
    start = int.from_bytes(keys[earlier : earlier + 8], "big")
    return int.from_bytes(keys[-size : 8 - size], "big") - start < AUTOMATED_WITHIN


def _visits(profile: Profile) -> set[Visit]:
    """The hours and products of views, clicks, purchases, and what was put into the cart."""
    carts = [cart for cart in profile.carts if cart.quantity > 0]
    return {
        (entry.at // HOUR, entry.product_id)
        for kind in (profile.views, profile.clicks, profile.purchases, carts)
        for entry in kind
    }
