"""Batches of events: judge each, then count, fold and write some together.

A batch may be done twice, by this worker or another, in part or in whole: profiles merge,
trend counts are fenced, and a dead letter that comes twice names the same offset.
"""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import structlog

from services.profiles.adapters.dead_letters import DeadLetters
from services.profiles.adapters.folded import FoldedSpans, Span
from services.profiles.adapters.trends import Place, Trends, TrendWrite
from services.profiles.domain.draft import Draft
from services.profiles.domain.fold import addition
from services.profiles.domain.trend import Placed
from services.profiles.folding import (
    RACES_LIMIT,
    Accepted,
    Folding,
    fold_all,
    fold_and_count,
    shop_of,
)
from services.profiles.metrics import BATCH_EVENTS, EVENTS
from services.shared.dead_letter import Origin, Refused, whose
from services.shared.errors import EventRefused, Unavailable
from services.shared.event import Event
from services.shared.event_age import AgeRule, first_appended
from services.shared.event_codec import Record, check_key, read_value
from services.shared.profile_store import ProfileStore, Stored

_log = structlog.get_logger()


class Judged(NamedTuple):
    """A batch whose records were read: what each shopper's events add, and what was refused."""

    partition: int
    size: int
    """How many records."""
    begin: int
    """The offset from which on all is in it that Kafka has."""
    end: int
    """The offset after the last of them."""
    accepted: dict[bytes, list[Placed]]
    """By ``shop_id/subject``."""
    refused: list[Refused]

    @property
    def codes(self) -> list[str]:
        """Why records were refused, each code once."""
        return sorted({one.code for one in self.refused})

    def tell(self) -> None:
        """Into metrics and log, once it is kept."""
        BATCH_EVENTS.observe(self.size)
        EVENTS.labels("accepted").inc(self.size - len(self.refused))
        for one in self.refused:
            EVENTS.labels(one.code).inc()
        if self.refused:
            _log.info(
                "events_refused",
                count=len(self.refused),
                codes=self.codes,
                partition=self.partition,
            )


@dataclass(frozen=True, eq=False)
class Batches:
    """Takes batches of one topic to where they belong; equal to itself alone."""

    topic: str
    topic_id: str
    store: ProfileStore
    trends: Trends | None
    """None: what happened is history, and makes no trends."""
    folded: FoldedSpans
    dead_letters: DeadLetters
    age: AgeRule
    folding: Folding

    def judge(
        self, partition: int, records: Sequence[Record], *, after: int | None = None
    ) -> Judged:
        """Read every record of a batch. Never raises for what a record holds.

        ``after``: from that offset to the first record Kafka has no other, where that is known.
        """
        first, end = records[0].offset, records[-1].offset + 1
        begin = first if after is None else min(after, first)
        judged = Judged(partition, len(records), begin, end, defaultdict(list), [])
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

    async def keep(self, some: Sequence[Judged]) -> None:
        """Return once all is written that these batches say, but for what was refused of them.

        All go in the same round trips, unless they are of one shopper or partition. Raises
        Unavailable: do it again.
        """
        accepted: dict[bytes, list[Placed]] = {}
        for judged in some:
            accepted |= judged.accepted
        apart = len(accepted) < sum(len(judged.accepted) for judged in some)
        if apart or len({judged.partition for judged in some}) < len(some):
            for judged in some:
                await self._keep([judged], judged.accepted)
        else:
            await self._keep(some, accepted)

    async def tell(self, some: Sequence[Judged], servers: Sequence[str]) -> None:
        """Have readers know that these are kept, by the Redis servers with these ids.

        They need not wait for it, and nobody tries again: where Redis is away these are not
        safe and kept again, or the next ones of their partitions are told of.
        """
        spans = [Span(judged.partition, judged.begin, judged.end) for judged in some]
        with contextlib.suppress(Unavailable):
            await self.folded.add(spans, servers)

    async def _keep(self, some: Sequence[Judged], accepted: Accepted) -> None:
        """Keep batches of different partitions and shoppers; ``accepted`` is of all of them."""
        names = list(accepted)
        before = dict(zip(names, await self.store.load(names), strict=True))
        if (making := self.store.making) is not None:
            await self.folding.fold_into(making, accepted)
        if self.trends is None:
            drafts = fold_all(accepted, before)
        else:
            drafts = await self._count(self.trends, some, before)
        await self.folding.write(self.store, accepted, before, drafts)

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
        self, trends: Trends, some: Sequence[Judged], before: Mapping[bytes, Stored]
    ) -> dict[bytes, Draft]:
        """Count trends against the profiles as they were before this round; the new profiles.

        Where another worker has moved a fence meanwhile, its counts stand and only what
        lies beyond its fence is counted here.
        """
        left = {
            judged.partition: dict.fromkeys(map(shop_of, judged.accepted), 0) for judged in some
        }
        drafts: dict[bytes, Draft] = {}
        for _ in range(RACES_LIMIT):
            places = [Place(number, shop) for number, shops in left.items() for shop in shops]
            if not places:
                return drafts
            for (number, shop), fence in zip(places, await trends.fences(places), strict=True):
                left[number][shop] = fence
            writes: list[TrendWrite] = []
            folded: dict[bytes, Draft] = {}
            for judged in some:
                fences = left[judged.partition]
                made, counts = fold_and_count(judged.accepted, before, fences)
                folded |= made
                writes += [
                    TrendWrite(Place(judged.partition, shop), fence, judged.end, counts[shop])
                    for shop, fence in fences.items()
                    if fence < judged.end
                ]
            drafts = drafts or folded
            done = await trends.count(writes) if writes else []
            left = defaultdict(dict)
            for write, ok in zip(writes, done, strict=True):
                if not ok:
                    left[write.place.partition][write.place.shop_id] = 0
        raise RuntimeError(f"trends of {places} lost {RACES_LIMIT} races")
