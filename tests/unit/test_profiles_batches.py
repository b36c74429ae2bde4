"""One batch, on fakes: what is kept, what is refused, what happens when things are away."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest

from services.profiles.adapters.dead_letters import MemoryDeadLetters
from services.profiles.adapters.durability import MemoryDurability
from services.profiles.adapters.trends import MemoryTrends, TrendWrite
from services.profiles.batches import Batches
from services.profiles.domain.dead_letter import DeadLetter
from services.shared.errors import KafkaUnavailable, RedisUnavailable
from services.shared.profile import Profile
from services.shared.profile_store import MemoryProfileStore, ProfileWrite
from tests.profile_events import NOON, FakeRecord, event, plain, record, view
from tests.profile_oracle import Event, recompute, trend_counts

DAY = timedelta(days=1)
APPENDED = int(NOON.timestamp()) * 1_000_000


def batches() -> Batches:
    return Batches(
        topic="shopper-events",
        topic_id="id",
        store=MemoryProfileStore(),
        trends=MemoryTrends(),
        dead_letters=MemoryDeadLetters(),
        durability=MemoryDurability(),
        age_limit=7 * DAY,
        retention=90 * DAY,
    )


async def keep(through: Batches, records: Sequence[FakeRecord]) -> None:
    await through.keep(through.judge(0, records))


async def profile(of: Batches, user: str = "ana") -> Profile:
    return (await of.store.read([("demo", f"u:{user}")]))[0][0]


def letters(of: Batches) -> list[DeadLetter]:
    assert isinstance(of.dead_letters, MemoryDeadLetters)
    return of.dead_letters.letters


def shopping(count: int) -> list[Event]:
    """Views by three shoppers of five products over three hours, some of them twice."""
    chance = random.Random(7)
    made = [
        view(
            i,
            chance.choice("abcde"),
            user=chance.choice(["ana", "bob", "eve"]),
            at=NOON - timedelta(minutes=chance.randrange(180)),
        )
        for i in range(count)
    ]
    return made + chance.choices(made, k=count // 3)


async def test_a_poison_event_between_good_ones() -> None:
    """It becomes a dead letter with its place and reason; those around it are folded."""
    through = batches()
    poison = FakeRecord(b"demo/u:ana", b"\x00", 8)
    await keep(through, [record(view(1), 7), poison, record(view(2), 9)])
    assert plain(await profile(through)) == recompute([view(1), view(2)])
    (letter,) = letters(through)
    assert dict(letter.headers)["attune_offset"] == b"8"
    assert dict(letter.headers)["attune_error_code"] == b"EVENT_NOT_JSON"


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
    codes = [dict(letter.headers)["attune_error_code"] for letter in letters(through)]
    assert codes == [b"EVENT_FROM_FUTURE", b"EVENT_TOO_OLD"]


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


@dataclass
class LosingStore(MemoryProfileStore):
    """A store where someone else writes between our first read and our write."""

    def __post_init__(self) -> None:
        super().__init__()
        self.other = [ProfileWrite("demo", "u:ana", Profile(1, 1), 0)]

    async def write(self, writes: Sequence[ProfileWrite], *, retention: timedelta) -> list[bool]:
        while self.other:
            await super().write([self.other.pop()], retention=retention)
        return await super().write(writes, retention=retention)


async def test_a_lost_race_is_read_and_folded_again() -> None:
    """What the other writer wrote stays, ours is merged into it."""
    through = replace(batches(), store=LosingStore())
    await keep(through, [record(view(1), 1), record(view(2, user="bob"), 2)])
    kept = await profile(through)
    assert kept.first_seen == 1
    assert len(kept.views) == 1
    assert len((await profile(through, "bob")).views) == 1


class RacedTrends(MemoryTrends):
    """Trends whose fence another worker moves just before our first count."""

    raced = False

    async def count(self, partition: int, writes: Sequence[TrendWrite]) -> list[bool]:
        if not self.raced:
            self.raced = True
            await super().count(partition, [TrendWrite("demo", 0, 2, {(0, "theirs"): 1})])
        return await super().count(partition, writes)


async def test_a_moved_fence_counts_only_what_lies_beyond() -> None:
    """Offsets that another worker has counted meanwhile are left to it."""
    through = replace(batches(), trends=RacedTrends())
    await keep(through, [record(view(1, "mug"), 1), record(view(2, "pen"), 2)])
    assert isinstance(through.trends, RacedTrends)
    assert {key[2]: n for key, n in through.trends.counts.items()} == {"theirs": 1, "pen": 1}


class AwayOnce(MemoryDeadLetters, MemoryDurability):
    """Something that is away the first time."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error: Exception | None = error

    def _fail(self) -> None:
        if self.error:
            error, self.error = self.error, None
            raise error

    async def send(self, letters: Sequence[DeadLetter]) -> None:
        self._fail()
        await super().send(letters)

    async def wait(self, mark: int) -> None:
        self._fail()


@pytest.mark.parametrize("part", ["dead_letters", "durability"])
async def test_a_batch_done_again_after_trouble(part: str) -> None:
    """Kafka or Redis away in the middle: the batch fails as a whole, done again it is as once."""
    error = KafkaUnavailable("x") if part == "dead_letters" else RedisUnavailable("x")
    away = AwayOnce(error)
    through = replace(batches(), **{part: away})  # type: ignore[arg-type]  # a part by its name
    some = [
        record(view(1), 1),
        FakeRecord(None, b"", 2),
        record(event(3, search={"query": "q"}), 3),
    ]
    with pytest.raises(type(error)):
        await keep(through, some)
    await keep(through, some)
    assert plain(await profile(through)) == recompute([view(1), event(3, search={"query": "q"})])
    assert len(letters(through)) == 1
    assert isinstance(through.trends, MemoryTrends)
    assert through.trends.counts.total() == 1
