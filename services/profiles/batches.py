"""One batch of one partition: judge, count, fold, write, wait for the disk, and only then done.

A batch may be done twice, by this worker or another, in part or in whole: profiles merge,
trend counts are fenced, and a dead letter that comes twice names the same offset.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, NamedTuple, Protocol

from services.profiles.adapters.dead_letters import DeadLetters
from services.profiles.adapters.durability import Durability
from services.profiles.adapters.trends import Trends, TrendWrite
from services.profiles.domain.dead_letter import DeadLetter, Origin, dead_letter
from services.profiles.domain.fold import entries
from services.profiles.domain.trend import Folded, increments
from services.shared.errors import EventRefused
from services.shared.event_age import check_age
from services.shared.event_codec import Headers, decode_event
from services.shared.profile import Profile, merge_all
from services.shared.profile_store import ProfileStore, ProfileWrite

Subject = tuple[str, str]

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
    """A batch whose records were read: what each shop's events left, and what was refused."""

    partition: int
    end: int
    """The offset after the last record."""
    accepted: dict[str, list[Folded]]
    refused: list[DeadLetter]
    codes: list[str]
    """The error code of each refused record."""


@dataclass(frozen=True)
class Batches:
    """Takes batches of one topic to where they belong."""

    topic: str
    topic_id: str
    store: ProfileStore
    trends: Trends
    dead_letters: DeadLetters
    durability: Durability
    age_limit: timedelta
    retention: timedelta

    def judge(self, partition: int, records: Sequence[Record]) -> Judged:
        """Read every record of a batch. Never raises for what a record holds."""
        judged = Judged(partition, records[-1].offset + 1, defaultdict(list), [], [])
        for record in records:
            try:
                shop_id, folded = self._read(record)
            except EventRefused as refusal:
                judged.refused.append(self._letter(partition, record, refusal))
                judged.codes.append(refusal.code)
            else:
                judged.accepted[shop_id].append(folded)
        return judged

    async def keep(self, judged: Judged) -> None:
        """Return once all that a batch says is on disk. Raises Unavailable: do it again."""
        subjects = list(_subjects(judged))
        before = dict(zip(subjects, await self.store.read(subjects), strict=True))
        mark = await self.durability.begin()
        await self._count(judged, before)
        await self._write(judged, before)
        await self.durability.wait(mark)
        await self.dead_letters.send(judged.refused)

    def _read(self, record: Record) -> tuple[str, Folded]:
        event = decode_event(record.key, record.value, record.headers)
        appended = record.timestamp * 1000
        check_age(event.at, received=appended, limit=self.age_limit)
        return event.shop_id, Folded(record.offset, event.subject, appended, entries(event))

    def _letter(self, partition: int, record: Record, refusal: EventRefused) -> DeadLetter:
        return dead_letter(
            Origin(self.topic, self.topic_id, partition, record.offset),
            key=record.key,
            value=record.value,
            headers=record.headers,
            code=refusal.code,
            reason=str(refusal),
        )

    async def _count(self, judged: Judged, before: dict[Subject, tuple[Profile, int]]) -> None:
        """Count trends against the profiles as they were before this batch.

        Where another worker has moved a fence meanwhile, its counts stand and only what
        lies beyond its fence is counted here.
        """
        open_shops = list(judged.accepted)
        for _ in range(RACES_LIMIT):
            fences = await self.trends.fences(judged.partition, open_shops) if open_shops else []
            writes = [
                _trend_write(judged, before, shop_id, fence)
                for shop_id, fence in zip(open_shops, fences, strict=True)
                if fence < judged.end
            ]
            done = await self.trends.count(judged.partition, writes) if writes else []
            open_shops = [write.shop_id for write, ok in zip(writes, done, strict=True) if not ok]
            if not open_shops:
                return
        raise RuntimeError(f"trends of {open_shops} lost {RACES_LIMIT} races")

    async def _write(self, judged: Judged, before: dict[Subject, tuple[Profile, int]]) -> None:
        """Fold and write; subjects that someone else wrote meanwhile are read and folded again."""
        added = _added(judged)
        known = before
        for _ in range(RACES_LIMIT):
            writes = [
                ProfileWrite(*subject, merge_all((profile, *added[subject])), revision)
                for subject, (profile, revision) in known.items()
            ]
            done = await self.store.write(writes, retention=self.retention)
            lost = [
                (write.shop_id, write.subject)
                for write, ok in zip(writes, done, strict=True)
                if not ok
            ]
            if not lost:
                return
            known = dict(zip(lost, await self.store.read(lost), strict=True))
        raise RuntimeError(f"{len(known)} profiles lost {RACES_LIMIT} races")


def _subjects(judged: Judged) -> Iterable[Subject]:
    """Each subject of the batch once, in the order of their first events."""
    return dict.fromkeys(
        (shop_id, folded.subject)
        for shop_id, all_of in judged.accepted.items()
        for folded in all_of
    )


def _added(judged: Judged) -> dict[Subject, list[Profile]]:
    """What the batch adds to each subject's profile."""
    added: dict[Subject, list[Profile]] = defaultdict(list)
    for shop_id, all_of in judged.accepted.items():
        for folded in all_of:
            added[shop_id, folded.subject].append(folded.entries)
    return added


def _trend_write(
    judged: Judged, before: dict[Subject, tuple[Profile, int]], shop_id: str, fence: int
) -> TrendWrite:
    events = judged.accepted[shop_id]
    profiles = {event.subject: before[shop_id, event.subject][0] for event in events}
    return TrendWrite(shop_id, fence, judged.end, increments(profiles, events, fence=fence))
