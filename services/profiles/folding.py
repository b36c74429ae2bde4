"""Fold what shoppers did into what is kept of them, whoever else is writing there."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Final, NamedTuple

from services.profiles.domain.draft import Draft, Visit
from services.profiles.domain.trend import Placed, fold
from services.shared.consent import read_consent
from services.shared.profile_layout import LAYOUT
from services.shared.profile_store import ProfileStore, Stored, Write

RACES_LIMIT: Final = 100
"""Tries to write one batch against other writers; beyond it something else is wrong."""

Accepted = Mapping[bytes, Sequence[Placed]]
"""What each shopper's events add, by ``shop_id/subject``."""


class Folding(NamedTuple):
    """How profiles are written."""

    retention: timedelta
    layout: int = LAYOUT

    async def fold_into(self, store: ProfileStore, accepted: Accepted) -> None:
        """Have ``store`` hold what these events say. Raises Unavailable: do it again."""
        names = list(accepted)
        before = dict(zip(names, await store.load(names), strict=True))
        await self.write(store, accepted, before, fold_all(accepted, before))

    async def write(
        self,
        store: ProfileStore,
        accepted: Accepted,
        before: Mapping[bytes, Stored],
        drafts: Mapping[bytes, Draft],
    ) -> None:
        """Write; subjects that someone else wrote meanwhile are read and folded again."""
        for _ in range(RACES_LIMIT):
            writes = [
                Write(name, stored, value)
                for name, stored in before.items()
                if (value := self._value(stored, drafts[name])) != stored.value
            ]
            done = await store.save(writes, retention=self.retention) if writes else []
            lost = [write.name for write, ok in zip(writes, done, strict=True) if not ok]
            if not lost:
                return
            before = dict(zip(lost, await store.load(lost), strict=True))
            drafts = fold_all(accepted, before)
        raise RuntimeError(f"{len(before)} profiles lost {RACES_LIMIT} races")

    def _value(self, stored: Stored, draft: Draft) -> bytes:
        if stored.consent and not read_consent(stored.consent).personalization:
            return b""
        return draft.value(self.layout)


def fold_all(accepted: Accepted, before: Mapping[bytes, Stored]) -> dict[bytes, Draft]:
    """Each shopper's profile of ``before`` with the events; nothing is counted."""
    drafts = {}
    for name, stored in before.items():
        drafts[name] = Draft(stored.value)
        fold(drafts[name], _allowed(accepted[name], stored.consent))
    return drafts


def fold_and_count(
    accepted: Accepted, before: Mapping[bytes, Stored], fences: Mapping[str, int]
) -> tuple[dict[bytes, Draft], defaultdict[str, dict[Visit, int]]]:
    """The same for the shoppers of shops with a fence, and each shop's new counts.

    ``fences`` are the offsets from which a shop's events count.
    """
    drafts: dict[bytes, Draft] = {}
    counts: defaultdict[str, dict[Visit, int]] = defaultdict(dict)
    for name, events in accepted.items():
        if (shop := shop_of(name)) in fences:
            stored = before[name]
            draft = drafts[name] = Draft(stored.value)
            fold(draft, _allowed(events, stored.consent), counts[shop], fences[shop])
    return drafts, counts


def shop_of(name: bytes) -> str:
    """The shop of a ``shop_id/subject``."""
    return name[: name.index(b"/")].decode()


def _allowed(events: Sequence[Placed], consent: bytes) -> Iterable[Placed]:
    """Those that may be kept."""
    if not consent:
        return events
    allows = read_consent(consent).allows
    return [one for one in events if allows(at=one.added.at, appended=one.appended)]
