"""What is left of a story, held against the oracle: entry by entry, count by count."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from services.shared.subject import event_key
from tests.fault.chaos.shopping import Sent
from tests.fault.chaos.stage import EVENTS, LETTERS, Stage
from tests.profile_events import plain
from tests.profile_oracle import Event, recompute, trend_counts
from tests.worker_kafka import appended, profiles, records, trend_counts_kept

SHOWN = 20
"""Differences that are told in words."""

Fact = tuple[Any, ...]


class Verdict(NamedTuple):
    """How what is there differs from what should be: facts too few, and too many."""

    lost: int
    doubled: int
    words: Sequence[str]
    """The first of both."""

    @property
    def is_right(self) -> bool:
        """Whether nothing differs, and all came to its end."""
        return not self.words

    def and_also(self, other: Verdict) -> Verdict:
        """Both."""
        words = [*self.words, *other.words]
        return Verdict(self.lost + other.lost, self.doubled + other.doubled, words)


def difference(should: Counter[Fact], found: Counter[Fact]) -> Verdict:
    """What ``found`` lacks, and what it has beyond what it should."""
    lost, doubled = should - found, found - should
    words = [f"lost {n} of {fact}" for fact, n in sorted(lost.items(), key=str)[:SHOWN]]
    words += [f"beyond {n} of {fact}" for fact, n in sorted(doubled.items(), key=str)[:SHOWN]]
    return Verdict(lost.total(), doubled.total(), words)


def expected(sent: Iterable[Sent], shops: Sequence[str]) -> Counter[Fact]:
    """What profiles and trends should hold of all that was sent."""
    events = [record.event for record in sent if record.event]
    facts: Counter[Fact] = Counter()
    for subject, some in _by_subject(events).items():
        facts += _facts(subject, recompute(some))
    for shop in shops:
        own = [one for one in events if one["shopId"] == shop]
        facts += Counter(trend_counts(appended(own), shop_id=shop))
    return facts


async def kept(on: Stage, sent: Iterable[Sent], shops: Sequence[str]) -> Counter[Fact]:
    """What profiles and trends hold."""
    subjects = list(_by_subject(record.event for record in sent if record.event))
    facts: Counter[Fact] = Counter()
    found = await profiles(on.redis.url, subjects)
    for subject, profile in zip(subjects, found, strict=True):
        facts += _facts(subject, plain(profile))
    for shop in shops:
        facts += Counter(await trend_counts_kept(on.redis.url, shop))
    return facts


async def judge_letters(on: Stage, sent: Iterable[Sent]) -> Verdict:
    """Whether each record that is to be refused, and no other, is among the dead letters."""
    servers, prefix = on.kafka.servers, on.prefix
    poison = {(record.key, record.value) for record in sent if record.event is None}
    should: Counter[Fact] = Counter(
        {
            ("letter", record.partition, record.offset): 1
            for record in await records(servers, prefix + EVENTS)
            if (record.key, record.value) in poison
        }
    )
    letters = [dict(letter.headers) for letter in await records(servers, prefix + LETTERS)]
    places = {(int(one["attune_partition"]), int(one["attune_offset"])) for one in letters}
    return difference(should, Counter({("letter", *place): 1 for place in places}))


def _by_subject(events: Iterable[Event]) -> dict[tuple[str, str], list[Event]]:
    of: defaultdict[tuple[str, str], list[Event]] = defaultdict(list)
    for one in events:
        subject = "u:" + one["userId"] if one.get("userId") else "v:" + one["visitorId"]
        of[one["shopId"], subject].append(one)
    return of


def _facts(subject: tuple[str, str], profile: dict[str, Any]) -> Counter[Fact]:
    """A profile's entries, and when its shopper was first and last seen."""
    name = event_key(*subject).decode()
    facts: Counter[Fact] = Counter()
    for kind, value in profile.items():
        for entry in value if isinstance(value, list) else [value]:
            facts[name, kind, entry] += 1
    return facts
