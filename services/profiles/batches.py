"""One batch of one partition: judge, count, fold, write.

A batch may be done twice, by this worker or another, in part or in whole: profiles merge,
trend counts are fenced, and a dead letter that comes twice names the same offset.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, NamedTuple, Protocol

from services.profiles.adapters.dead_letters import DeadLetters
from services.profiles.adapters.trends import Trends, TrendWrite
from services.profiles.domain.dead_letter import DeadLetter, Origin, dead_letter, first_appended
from services.profiles.domain.draft import Draft, Visit
from services.profiles.domain.fold import addition
from services.profiles.domain.trend import Placed, fold
from services.shared.consent import read_consent
from services.shared.errors import EventRefused
from services.shared.event_age import AgeRule
from services.shared.event_codec import Headers, decode_event
from services.shared.profile_layout import LAYOUT
from services.shared.profile_store import ProfileStore, Stored, Write

RACES_LIMIT: Final = 100
"""Tries to write one batch against other writers; beyond it something else is wrong."""


class Record(Protocol):
    """What is used of a Kafka record."""

    @property
    def key(self) -> bytes | None:
        """``shop_id/subject``, if the producer did right."""

    @property
    def value(self) -> bytes | None:
        """The event."""

    @property
    def headers(self) -> Headers:
        """Names and values."""

    @property
    def offset(self) -> int:
        """Its place in the partition."""

    @property
    def timestamp(self) -> int:
        """When the broker appended it, in milliseconds since 1970."""


class Judged(NamedTuple):
    """A batch whose records were read: what each shopper's events add, and what was refused."""

    partition: int
    end: int
    """The offset after the last record."""
    accepted: dict[bytes, list[Placed]]
    """By ``shop_id/subject``."""
    refused: list[DeadLetter]
    codes: list[str]
    """The error code of each refused record."""


@dataclass(frozen=True)
class Batches:
    """Takes batches of one topic to where they belong."""

    topic: str
    topic_id: str
    store: ProfileStore
    trends: Trends | None
    """None: what happened is history, and makes no trends."""
    dead_letters: DeadLetters
    age: AgeRule
    retention: timedelta
    layout: int = LAYOUT
    """Which layout profiles are written in."""

    def judge(self, partition: int, records: Sequence[Record]) -> Judged:
        """Read every record of a batch. Never raises for what a record holds."""
        judged = Judged(partition, records[-1].offset + 1, defaultdict(list), [], [])
        accepted, check_age = judged.accepted, self.age.check
        for record in records:
            try:
                key = record.key
                headers = record.headers
                event = decode_event(key, record.value, headers)
                time = first_appended(record.timestamp, headers) if headers else record.timestamp
                appended = time * 1000
                check_age(event.at, appended)
            except EventRefused as refusal:
                judged.refused.append(self._letter(partition, record, refusal))
                judged.codes.append(refusal.code)
            else:
                placed = Placed(record.offset, appended, addition(event))
                accepted[key].append(placed)  # type: ignore[index]  # a record without key is refused
        return judged

    async def keep(self, judged: Judged) -> None:
        """Return once all that a batch says is written. Raises Unavailable: do it again."""
        names = list(judged.accepted)
        before = dict(zip(names, await self.store.load(names), strict=True))
        if (making := self.store.making) is not None:
            await self.fold_into(making, judged)
        if self.trends is None:
            drafts = _fold_all(judged, before, None)[0]
        else:
            drafts = await self._count(self.trends, judged, before)
        await self._write(self.store, judged, before, drafts)
        await self.dead_letters.send(judged.refused)

    async def fold_into(self, store: ProfileStore, judged: Judged) -> None:
        """Have ``store`` hold what a batch says, and do nothing else. Raises Unavailable."""
        names = list(judged.accepted)
        before = dict(zip(names, await store.load(names), strict=True))
        await self._write(store, judged, before, _fold_all(judged, before, None)[0])

    def _letter(self, partition: int, record: Record, refusal: EventRefused) -> DeadLetter:
        return dead_letter(
            Origin(self.topic, self.topic_id, partition, record.offset),
            appended=first_appended(record.timestamp, record.headers),
            key=record.key,
            value=record.value,
            headers=record.headers,
            code=refusal.code,
            reason=str(refusal),
        )

    async def _count(
        self, trends: Trends, judged: Judged, before: Mapping[bytes, Stored]
    ) -> dict[bytes, Draft]:
        """Count trends against the profiles as they were before this batch; the new profiles.

        Where another worker has moved a fence meanwhile, its counts stand and only what
        lies beyond its fence is counted here.
        """
        shops = list(dict.fromkeys(map(_shop_of, judged.accepted)))
        drafts: dict[bytes, Draft] = {}
        for _ in range(RACES_LIMIT):
            if not shops:
                return drafts
            fences = dict(zip(shops, await trends.fences(judged.partition, shops), strict=True))
            folded, counts = _fold_all(judged, before, fences)
            drafts = drafts or folded
            writes = [
                TrendWrite(shop, fence, judged.end, counts[shop])
                for shop, fence in fences.items()
                if fence < judged.end
            ]
            done = await trends.count(judged.partition, writes) if writes else []
            shops = [write.shop_id for write, ok in zip(writes, done, strict=True) if not ok]
        raise RuntimeError(f"trends of {shops} lost {RACES_LIMIT} races")

    async def _write(
        self,
        store: ProfileStore,
        judged: Judged,
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
            drafts = _fold_all(judged, before, None)[0]
        raise RuntimeError(f"{len(before)} profiles lost {RACES_LIMIT} races")

    def _value(self, stored: Stored, draft: Draft) -> bytes:
        if stored.consent and not read_consent(stored.consent).personalization:
            return b""
        return draft.value(self.layout)


def _fold_all(
    judged: Judged, before: Mapping[bytes, Stored], fences: Mapping[str, int] | None
) -> tuple[dict[bytes, Draft], defaultdict[str, Counter[Visit]]]:
    """Each shopper's profile with the batch's events, and each shop's new counts.

    ``fences`` are the offsets from which a shop's events count; None: nothing is counted.
    """
    drafts: dict[bytes, Draft] = {}
    counts: defaultdict[str, Counter[Visit]] = defaultdict(Counter)
    for name, (value, consent) in before.items():
        events: Iterable[Placed] = judged.accepted[name]
        if consent:
            allows = read_consent(consent).allows
            events = [one for one in events if allows(at=one.added.at, appended=one.appended)]
        draft = drafts[name] = Draft(value)
        if fences is None:
            fold(draft, events)
        elif (shop := _shop_of(name)) in fences:
            fold(draft, events, counts[shop], fences[shop])
    return drafts, counts


def _shop_of(name: bytes) -> str:
    return name[: name.index(b"/")].decode()
