"""Batches on fakes: what a record must be, what people allow, and what happens to a moved fence."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta

import pytest
from prometheus_client import REGISTRY

from services.attribution.adapters.consents import MemoryConsents
from services.attribution.adapters.trail_store import MemoryTrailStore, Name
from services.attribution.batches import Batches, Surroundings
from services.attribution.domain.counts import Row
from services.attribution.domain.fence import Fence, Place, read_fence
from services.attribution.domain.units import GRACE
from services.attribution.metrics import SCENARIOS, ScenarioNames
from services.attribution.reading import Reader
from services.shared.consent import Consent
from services.shared.event_age import AgeRule
from services.shared.letter_keys import MemoryLetterKeys
from services.shared.logged_answer import LoggedAnswer
from services.shared.personal_data import Person
from services.shared.sealed_answers import SealedAnswers
from services.shared.sealing import MasterKey
from tests.attribution_parts import (
    SHOP,
    Record,
    answer,
    at,
    click,
    impression,
    micros,
    of_visitor,
    purchase,
)
from tests.profile_events import NOON, FakeRecord, key_of, view
from tests.unit.test_attribution_units import experiment

LOG, EVENTS = "recommendation-log", "shopper-events"
MASTER = MasterKey(bytes(range(32)))
NOON_MS = micros(NOON) // 1_000
DAY = timedelta(days=1)


class Partition:
    """The parts of one process on fakes, and one partition that it counts."""

    def __init__(self) -> None:
        self.store = MemoryTrailStore()
        self.consents = MemoryConsents()
        self.known = {"calm": experiment()}
        self.keys = MemoryLetterKeys(MASTER)
        self.answers = SealedAnswers(MASTER, self.keys)
        around = Surroundings(
            self.store,
            self.consents,
            MASTER,
            lambda _: self.known,
            lambda name: 1 if b"/v:" in name else 0,
        )
        self.batches = Batches(around)
        self.reader = Reader(self.answers, AgeRule(7 * DAY))

    async def count(
        self, *records: Record, number: int = 0, now: int = 0, raw: Sequence[FakeRecord] = ()
    ) -> bool:
        """Count a batch of a partition."""
        log = [one for one in records if isinstance(one, LoggedAnswer)]
        events = [one for one in records if not isinstance(one, LoggedAnswer)]
        sealed = [
            FakeRecord(one.key, one.value, 0, NOON_MS + 60_000, tuple(one.headers))
            for one in await self.answers.seal(log)
        ]
        sent = [
            FakeRecord(key_of(one), json.dumps(one).encode(), 0, NOON_MS + 60_000) for one in events
        ]
        said = await self.reader.read(sealed, [*sent, *raw])
        before = read_fence(self.store.fences.get(number, ""))
        after = Fence(before.number + 1, Place("a", 1), Place("b", 1))
        return await self.batches.count(number, said, before=before, after=after, now=now)

    def total(self, name: str) -> int:
        """A measure over all lists and partitions."""
        return sum(
            measures.get(name, 0)
            for (_, row), measures in self.store.counts.items()
            if row.day >= 0 and not row.names[-1]
        )


def person(subject: str) -> Person:
    return Person(SHOP, subject)


def trail_of(subject: str, number: int = 0) -> tuple[int, Name]:
    return number, Name(SHOP, MASTER.pseudonym(person(subject).name))


def records(outcome: str, topic: str) -> float:
    labels = {"topic": topic, "outcome": outcome}
    return REGISTRY.get_sample_value("attribution_records_total", labels) or 0.0


async def test_a_trail_is_found_again() -> None:
    """What one batch has kept the next one goes on from; views leave no trail."""
    ours = Partition()
    assert await ours.count(answer("t"), impression(1, "t", "mug", at=at(1)))
    assert await ours.count(click(2, "t", at=at(2)), view(3, user="ben"))
    assert (ours.total("impressions"), ours.total("clicks")) == (1, 1)
    assert ours.store.trails.keys() == {trail_of("u:ana")}


async def test_a_moved_fence() -> None:
    """A batch that was made from another fence counts nothing, and tells nobody."""
    ours = Partition()
    await ours.count(answer("t"))
    value = json.dumps(purchase(1, "mug", visitorId="v1")).encode()
    said = await ours.reader.read([], [FakeRecord(b"demo/u:ana", value)])
    stale = Fence(7, Place("a", 1), Place("b", 1))
    assert not await ours.batches.count(0, said, before=stale, after=stale, now=0)
    assert ours.total("answers") == 1
    assert ours.store.letters == {}


async def test_a_fence_that_moves_meanwhile() -> None:
    """Between reading and writing, too: the store has the last word."""
    ours = Partition()
    read = ours.store.rows

    async def moving(partition: int, rows: Sequence[Row]) -> list[dict[str, int]]:
        ours.store.fences[0] = "9 a:1 b:1"
        return await read(partition, rows)

    ours.store.rows = moving  # type: ignore[method-assign]  # what a second process does
    assert not await ours.count(answer("t"))
    assert (ours.total("answers"), ours.store.trails) == (0, {})


async def test_who_allows_nothing() -> None:
    """Nothing is counted of them, and what was kept goes."""
    ours = Partition()
    await ours.count(answer("t"))
    ours.consents.said[person("u:ana")] = Consent(personalization=False)
    await ours.count(click(1, "t"), answer("t2"))
    assert (ours.total("answers"), ours.total("clicks")) == (1, 0)
    assert ours.store.trails == {}


async def test_who_was_forgotten() -> None:
    """What was before the erasure stays forgotten, be it read again; what comes after counts."""
    ours = Partition()
    ours.consents.said[person("u:ana")] = Consent(erased_at=micros(at(5)))
    await ours.count(answer("t"), click(1, "t", at=at(1)))
    assert (ours.total("answers"), ours.store.trails) == (0, {})
    await ours.count(answer("t2", at=at(6)))
    assert ours.total("answers") == 1


@pytest.mark.parametrize("forbids", ["u:ana", "v:v1"])
@pytest.mark.parametrize("said", [Consent(personalization=False), Consent(erased_at=micros(at(9)))])
async def test_whom_a_visitor_s_trail_hears_of(forbids: str, said: Consent) -> None:
    """Of a user's purchase only if both allow that something is kept."""
    ours = Partition()
    shown: list[Record] = [answer("t", user="", visitor="v1"), of_visitor(click(1, "t"), "v1")]
    await ours.count(*shown, number=1)
    ours.consents.said[person(forbids)] = said
    await ours.count(purchase(2, "mug", visitorId="v1", at=at(5)))
    assert await ours.store.inbox(1, 10) == []


async def test_a_visitor_s_trail_hears_of_a_purchase() -> None:
    """By a letter to its partition, which is taken once."""
    ours = Partition()
    shown: list[Record] = [answer("t", user="", visitor="v1"), of_visitor(click(1, "t"), "v1")]
    await ours.count(*shown, number=1)
    await ours.count(purchase(2, "mug", visitorId="v1", at=at(5)))
    assert await ours.batches.has_work(1, 0)
    assert await ours.count(number=1)
    assert ours.total("purchases") == 1
    assert not await ours.batches.has_work(1, 0)


async def test_a_call_that_named_nobody() -> None:
    """Its list counts, and leaves no trail."""
    ours = Partition()
    await ours.count(answer("t", user=""))
    assert (ours.total("answers"), ours.total("shown")) == (1, 3)
    assert ours.store.trails == {}


async def test_a_window_that_closes_by_itself() -> None:
    """A shopper who never comes again is taken in all the same, once."""
    ours = Partition()
    await ours.count(answer("t", arms=(("calm", "b"),)))
    now = micros(NOON + 7 * DAY) + GRACE
    assert not await ours.batches.has_work(0, micros(NOON + DAY))
    for _ in range(2):
        await ours.count(now=now)
    found = ours.store.counts[0, Row(SHOP, -1, ("calm", "b"))]
    assert (found["exposed"], found["shoppers"]) == (1, 1)
    assert not await ours.batches.has_work(0, now)


async def test_what_cannot_be_read() -> None:
    """It is counted by its code and passed over; what was sealed and erased says nothing."""
    ours = Partition()
    before = records("EVENT_NOT_JSON", EVENTS), records("unreadable", LOG)
    too_old = records("EVENT_TOO_OLD", EVENTS)
    old = FakeRecord(key_of(view(1)), json.dumps(view(1, at=NOON - 8 * DAY)).encode(), 0, NOON_MS)
    await ours.count(raw=[FakeRecord(b"demo/u:ana", b"{oops", 0, NOON_MS), old])
    assert records("EVENT_NOT_JSON", EVENTS) == before[0] + 1
    assert records("EVENT_TOO_OLD", EVENTS) == too_old + 1
    (sealed,) = await ours.answers.seal([answer("t")])
    await ours.keys.erase([b"demo/u:ana"])
    for key, value, headers in (
        (sealed.key, sealed.value, tuple(sealed.headers)),
        (sealed.key, None, ()),
        (None, b"x", tuple(sealed.headers)),
    ):
        said = await ours.reader.read([FakeRecord(key, value, 0, NOON_MS, headers)], [])
        assert (dict(said.facts), said.nobody) == ({}, [])
    assert records("unreadable", LOG) == before[1] + 3


async def test_totals_that_are_shown_at_once() -> None:
    """Each scenario's, as Prometheus reads them; beyond so many names they are one."""
    ours = Partition()
    labels = {"scenario": "metrics", "measure": "answers"}
    await ours.count(answer("t", scenario="metrics", arms=(("calm", "b"),)))
    assert REGISTRY.get_sample_value("attribution_figures_total", labels) == 1
    names = ScenarioNames()
    assert [names.label(f"s{n}") for n in range(SCENARIOS + 1)][-1] == "other"
    assert names.label("s0") == "s0"


def test_fences_as_text() -> None:
    """They are read as they were written; the first is empty."""
    assert read_fence("").text == ""
    fence = Fence(17, Place("x-y", 120), Place("z", 3500))
    assert fence.text == "17 x-y:120 z:3500"
    assert read_fence(fence.text) == fence
