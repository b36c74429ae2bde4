"""One batch of one partition: judge, count, fold, write.

A batch may be done twice, by this worker or another, in part or in whole: profiles merge,
trend counts are fenced, and a dead letter that comes twice names the same offset.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from services.profiles.adapters.dead_letters import DeadLetters
from services.profiles.adapters.trends import Trends, TrendWrite
from services.profiles.domain.draft import Draft
from services.profiles.domain.fold import addition
from services.profiles.domain.trend import Placed
from services.profiles.folding import RACES_LIMIT, Folding, fold_all, fold_and_count, shop_of
from services.shared.dead_letter import Origin, Refused, whose
from services.shared.errors import EventRefused
from services.shared.event import Event
from services.shared.event_age import AgeRule, first_appended
from services.shared.event_codec import Record, check_key, read_value
from services.shared.profile_store import ProfileStore, Stored


class Judged(NamedTuple):
    """A batch whose records were read: what each shopper's events add, and what was refused."""

    partition: int
    end: int
    """The offset after the last record."""
    accepted: dict[bytes, list[Placed]]
    """By ``shop_id/subject``."""
    refused: list[Refused]

    @property
    def codes(self) -> list[str]:
        """Why records were refused, each code once."""
        return sorted({one.code for one in self.refused})


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
    folding: Folding

    def judge(self, partition: int, records: Sequence[Record]) -> Judged:
        """Read every record of a batch. Never raises for what a record holds."""
        judged = Judged(partition, records[-1].offset + 1, defaultdict(list), [])
        accepted, check_age = judged.accepted, self.age.check
        for record in records:
            event = None
            try:
                key = record.key
                headers = record.headers
                event = read_value(record.value, headers)
                check_key(event, key)
                time = first_appended(record.timestamp, headers) if headers else record.timestamp
                appended = time * 1000
                check_age(event.at, appended)
            except EventRefused as refusal:
                judged.refused.append(self._refused(partition, record, event, refusal))
            else:
                placed = Placed(record.offset, appended, addition(event))
                accepted[key].append(placed)  # type: ignore[index]  # a record without key is refused
        return judged

    async def keep(self, judged: Judged) -> None:
        """Return once all that a batch says is written. Raises Unavailable: do it again."""
        names = list(judged.accepted)
        before = dict(zip(names, await self.store.load(names), strict=True))
        if (making := self.store.making) is not None:
            await self.folding.fold_into(making, judged.accepted)
        if self.trends is None:
            drafts = fold_all(judged.accepted, before)
        else:
            drafts = await self._count(self.trends, judged, before)
        await self.folding.write(self.store, judged.accepted, before, drafts)
        await self.dead_letters.send(judged.refused)

    def _refused(
        self, partition: int, record: Record, event: Event | None, refusal: EventRefused
    ) -> Refused:
        return Refused(
            Origin(self.topic, self.topic_id, partition, record.offset),
            first_appended(record.timestamp, record.headers),
            record.key,
            record.value,
            record.headers,
            refusal.code,
            str(refusal),
            whose(record.key, event),
        )

    async def _count(
        self, trends: Trends, judged: Judged, before: Mapping[bytes, Stored]
    ) -> dict[bytes, Draft]:
        """Count trends against the profiles as they were before this batch; the new profiles.

        Where another worker has moved a fence meanwhile, its counts stand and only what
        lies beyond its fence is counted here.
        """
        shops = list(dict.fromkeys(map(shop_of, judged.accepted)))
        drafts: dict[bytes, Draft] = {}
        for _ in range(RACES_LIMIT):
            if not shops:
                return drafts
            fences = dict(zip(shops, await trends.fences(judged.partition, shops), strict=True))
            folded, counts = fold_and_count(judged.accepted, before, fences)
            drafts = drafts or folded
            writes = [
                TrendWrite(shop, fence, judged.end, counts[shop])
                for shop, fence in fences.items()
                if fence < judged.end
            ]
            done = await trends.count(judged.partition, writes) if writes else []
            shops = [write.shop_id for write, ok in zip(writes, done, strict=True) if not ok]
        raise RuntimeError(f"trends of {shops} lost {RACES_LIMIT} races")
