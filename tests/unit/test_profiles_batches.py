"""One batch, on fakes: what is kept, what is refused, what happens when things are away."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from services.profiles.adapters.dead_letters import MemoryDeadLetters
from services.profiles.adapters.trends import MemoryTrends, Place
from services.profiles.batches import Batches
from services.profiles.folding import Folding
from services.shared.consent import Consent, write_consent
from services.shared.dead_letter import Refused
from services.shared.errors import KafkaUnavailable
from services.shared.event_age import AgeRule
from services.shared.profile import Profile, is_automated
from services.shared.profile_codec import decode, encode
from services.shared.profile_store import (
    NOTHING,
    MemoryProfileStore,
    Stored,
    Write,
    read_profiles,
)
from tests.profile_events import NOON, FakeRecord, event, plain, record, shopping, view
from tests.profile_oracle import recompute, trend_counts
from tests.worker_in_memory import RacedTrends, batches

DAY = timedelta(days=1)
APPENDED = int(NOON.timestamp()) * 1_000_000


async def keep(through: Batches, records: Sequence[FakeRecord]) -> None:
    judged = through.judge(0, records)
    await through.keep([judged])
    await through.dead_letters.send(judged.refused)


async def profile(of: Batches, user: str = "ana") -> Profile:
    return (await read_profiles(of.store, [("demo", f"u:{user}")]))[0]


def letters(of: Batches) -> list[Refused]:
    assert isinstance(of.dead_letters, MemoryDeadLetters)
    return of.dead_letters.letters


async def test_a_poison_event_between_good_ones() -> None:
    """It becomes a dead letter with its place and reason; those around it are folded."""
    through = batches()
    poison = FakeRecord(b"demo/u:ana", b"\x00", 8)
    await keep(through, [record(view(1), 7), poison, record(view(2), 9)])
    assert plain(await profile(through)) == recompute([view(1), view(2)])
    (letter,) = letters(through)
    assert (letter.origin.offset, letter.code) == (8, "EVENT_NOT_JSON")


async def test_age_is_judged_by_the_time_of_append() -> None:
    """Future and too old are told by the record's own time, whenever it is read."""
    through = batches()
    await keep(
        through,
        [
            record(view(1), 1, appended=NOON - timedelta(minutes=6)),
            record(view(2), 2, appended=NOON + 8 * DAY),
            record(view(3), 3, appended=NOON - timedelta(minutes=4)),
        ],
    )
    assert plain(await profile(through)) == recompute([view(3)])
    assert [letter.code for letter in letters(through)] == ["EVENT_FROM_FUTURE", "EVENT_TOO_OLD"]


@pytest.mark.parametrize("seed", range(20))
async def test_any_batches_any_repetition(seed: int) -> None:
    """However records are cut into batches and repeated from an earlier offset: as the oracle."""
    chance = random.Random(seed)
    through, some = batches(), shopping(60)
    records = [record(one, offset) for offset, one in enumerate(some)]
    at = 0
    while at < len(records):
        size = chance.randint(1, 20)
        await keep(through, records[at : at + size])
        at = at + size if chance.random() < 0.6 else max(0, at - chance.randrange(20))
    for user in ("ana", "bob", "eve"):
        theirs = [one for one in some if one["userId"] == user]
        assert plain(await profile(through, user)) == recompute(theirs)
    assert isinstance(through.trends, MemoryTrends)
    assert through.trends.counts == trend_counts([(e, APPENDED) for e in some], shop_id="demo")


class LosingStore(MemoryProfileStore):
    """A store where someone else writes between our first read and our write."""

    def __init__(self) -> None:
        super().__init__()
        self.other = [Write(b"demo/u:ana", NOTHING, encode(Profile(1, 1)))]

    async def save(self, writes: Sequence[Write], *, retention: timedelta) -> list[bool]:
        while self.other:
            await super().save([self.other.pop()], retention=retention)
        return await super().save(writes, retention=retention)


async def test_a_lost_race_is_read_and_folded_again() -> None:
    """What the other writer wrote stays, ours is merged into it."""
    through = replace(batches(), store=LosingStore())
    await keep(through, [record(view(1), 1), record(view(2, user="bob"), 2)])
    kept = await profile(through)
    assert kept.first_seen == 1
    assert len(kept.views) == 1
    assert len((await profile(through, "bob")).views) == 1


class CountingStore(MemoryProfileStore):
    """Counts what is written."""

    saved = 0

    async def save(self, writes: Sequence[Write], *, retention: timedelta) -> list[bool]:
        self.saved += len(writes)
        return await super().save(writes, retention=retention)


async def test_what_is_known_is_not_written_again() -> None:
    """A worker that was stopped, and wakes when another has its partition, changes nothing."""
    store = CountingStore()
    through = replace(batches(), store=store)
    for expected in (1, 1, 2):
        await keep(through, [record(view(expected), expected)])
        assert store.saved == expected


REFUSED = write_consent(Consent(personalization=False))


async def test_a_shopper_who_refuses_has_no_profile() -> None:
    """What was kept goes with the next event, and nothing new comes."""
    store = MemoryProfileStore()
    through = replace(batches(), store=store)
    await keep(through, [record(view(1), 1)])
    store.consents[b"demo/u:ana"] = REFUSED
    await keep(through, [record(view(2), 2), record(view(3, user="bob"), 3)])
    assert await store.load([b"demo/u:ana"]) == [Stored(b"", REFUSED)]
    assert len((await profile(through, "bob")).views) == 1
    assert isinstance(through.trends, MemoryTrends)
    assert through.trends.counts.total() == 2  # the first view, and bob's


async def test_what_was_erased_does_not_come_back() -> None:
    """Events of before an erasure that come late leave nothing, later ones a new profile."""
    store = MemoryProfileStore()
    through = replace(batches(), store=store)
    erased_at = APPENDED - 60_000_000
    store.consents[b"demo/u:ana"] = write_consent(Consent(erased_at=erased_at))
    old, new = view(1, "mug", at=NOON - timedelta(minutes=2)), view(2, "pen")
    await keep(through, [record(old, 1), record(new, 2)])
    assert plain(await profile(through)) == recompute([new])
    late = record(view(3, "cup"), 3, appended=NOON - timedelta(minutes=3))
    await keep(through, [late])
    assert plain(await profile(through)) == recompute([new])


async def test_a_program_makes_no_trends() -> None:
    """From its fiftieth view within a minute on, what it looks at does not count."""
    through = batches()
    some = [
        record(view(i, f"p{i}", at=NOON - timedelta(seconds=40) + i * timedelta(seconds=0.3)), i)
        for i in range(120)
    ]
    for start in range(0, 120, 40):
        await keep(through, some[start : start + 40])
    assert isinstance(through.trends, MemoryTrends)
    assert through.trends.counts.total() == 50
    assert is_automated(await profile(through))


async def test_history_is_of_any_age_and_makes_no_trends() -> None:
    """Events of a shop's time before Attune are folded like others."""
    through = replace(batches(), trends=None, age=AgeRule(None))
    old = view(1, at=NOON - 4000 * DAY)
    await keep(through, [record(old, 1), record(view(2, at=NOON + DAY), 2)])
    assert plain(await profile(through)) == recompute([old])
    (letter,) = letters(through)
    assert letter.code == "EVENT_FROM_FUTURE"


async def test_an_event_sent_again_is_judged_by_its_first_append() -> None:
    """A repaired dead letter of last week is in time; a header that cannot be true is not."""
    through = batches()
    week, first = 8 * DAY, int((NOON + DAY).timestamp() * 1000)
    for offset, told in enumerate([first, first + 10 * 86_400_000, 0]):
        headers = (("attune_appended_at", b"%d" % told),)
        again = record(view(offset), offset, appended=NOON + week)
        await keep(through, [again._replace(headers=headers)])
    assert plain(await profile(through)) == recompute([view(0)])
    now = int((NOON + week).timestamp() * 1000)
    assert [letter.appended for letter in letters(through)] == [now, now]


async def test_a_record_that_is_refused_again_keeps_its_first_append() -> None:
    """However often it is put back, its age is that of the first time."""
    through = batches()
    first = int(NOON.timestamp() * 1000)
    again = FakeRecord(b"demo/u:ana", b"{", headers=(("attune_appended_at", b"%d" % first),))
    await keep(through, [again._replace(timestamp=int((NOON + DAY).timestamp() * 1000))])
    assert letters(through)[0].appended == first


async def test_profiles_in_the_layout_that_is_told() -> None:
    """Before a rollback the older one is written, and read whichever it is."""
    store = MemoryProfileStore()
    some = [view(i, f"p{i}") for i in range(3)]
    for offset, layout in enumerate((2, 1, 2)):
        await keep(
            replace(batches(), store=store, folding=Folding(90 * DAY, layout)),
            [record(some[offset], offset)],
        )
        ((value, _),) = await store.load([b"demo/u:ana"])
        assert value[0] == layout
    assert plain(decode(value)) == recompute(some)


async def test_a_moved_fence_counts_only_what_lies_beyond() -> None:
    """Offsets that another worker has counted meanwhile are left to it."""
    through = replace(batches(), trends=RacedTrends(Place(0, "demo")))
    await keep(through, [record(view(1, "mug"), 1), record(view(2, "pen"), 2)])
    assert isinstance(through.trends, RacedTrends)
    assert {key[2]: n for key, n in through.trends.counts.items()} == {"theirs": 1, "pen": 1}


class AwayOnce(MemoryDeadLetters):
    """Dead letters that cannot be sent the first time."""

    away = True

    async def send(self, refused: Sequence[Refused]) -> None:
        if self.away:
            self.away = False
            raise KafkaUnavailable("x")
        await super().send(refused)


async def test_a_batch_done_again_after_trouble() -> None:
    """Kafka away in the middle: the batch fails as a whole, done again it is as once."""
    through = replace(batches(), dead_letters=AwayOnce())
    some = [
        record(view(1), 1),
        FakeRecord(None, b"", 2),
        record(event(3, search={"query": "q"}), 3),
    ]
    with pytest.raises(KafkaUnavailable):
        await keep(through, some)
    await keep(through, some)
    assert plain(await profile(through)) == recompute([view(1), event(3, search={"query": "q"})])
    assert len(letters(through)) == 1
    assert isinstance(through.trends, MemoryTrends)
    assert through.trends.counts.total() == 1
