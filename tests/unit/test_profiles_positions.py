"""How far partitions are done, where reading begins, and what is committed beside an offset."""

from __future__ import annotations

import asyncio

import pytest
from faust.types import TP

from services.profiles.domain.commit import Commit, Note, Start, start_after
from services.profiles.positions import MARKS, EventsSkipped, Position, Positions
from services.shared.errors import KafkaUnavailable

TP0, TP1 = TP("shopper-events", 0), TP("shopper-events", 1)


class Kafka:
    """Where reading begins, and the offsets that hold a record."""

    def __init__(self, start: int, *there: int) -> None:
        self.start, self.there = start, there

    async def start_of(self, tp: TP) -> Start:
        return Start(self.start, self.start // 2)

    async def first_from(self, tp: TP, offset: int) -> int:
        return min(at for at in self.there if at >= offset)


def positions(start: int, *there: int) -> Positions:
    kafka = Kafka(start, *there)
    return Positions(kafka.start_of, kafka.first_from)


def to_commit(at: Positions, generation: int) -> dict[TP, int]:
    return {tp: position.safe for tp, position in at.to_commit(generation).items()}


async def test_positions_commit_what_is_safe() -> None:
    """Not what is only folded; and each offset once."""
    at = positions(10)
    position = await at.check(TP0, 1, 10)
    assert to_commit(at, 1) == {TP0: 10}
    position.folded = 15
    position.committed = 10
    assert (to_commit(at, 1), at.expected(TP0)) == ({}, 15)
    position.safe = 15
    assert to_commit(at, 1) == {TP0: 15}
    assert (at.of(TP0), at.of(TP1)) == (position, None)


async def test_positions_of_an_older_generation_are_not_committed() -> None:
    """What was held before a rebalance may be behind what another worker has committed."""
    at = positions(10)
    (await at.check(TP0, 1, 10)).safe = 15
    assert to_commit(at, 2) == {}


async def test_events_that_were_passed_over() -> None:
    """A batch behind a hole that Kafka can fill is refused, at the start and later."""
    at = positions(10, 10, 11, 12, 13, 20)
    with pytest.raises(EventsSkipped, match="10 to 12"):
        await at.check(TP0, 1, 13)
    (await at.check(TP0, 1, 10)).folded = 12
    with pytest.raises(EventsSkipped, match="12 to 12"):
        await at.check(TP0, 1, 13)


async def test_a_hole_that_kafka_has_too() -> None:
    """Offsets that hold no record, such as a transaction's end, are passed over rightly."""
    at = positions(10, 10, 11, 14)
    (await at.check(TP0, 1, 10)).folded = 12
    await at.check(TP0, 1, 14)


async def test_a_new_generation_begins_at_the_commit() -> None:
    """After a rebalance the next batch is held against the group's commit, not our memory."""
    kafka = Kafka(10, *range(200))
    at = Positions(kafka.start_of, kafka.first_from)
    first = await at.check(TP0, 1, 10)
    first.safe = first.committed = first.folded = 15
    second = await at.check(TP0, 2, 10)
    second.safe = second.folded = 15
    assert to_commit(at, 2) == {TP0: 15}  # although an earlier generation has committed it
    kafka.start = 100
    await at.check(TP0, 3, 100)
    with pytest.raises(EventsSkipped):
        await at.check(TP0, 4, 101)


async def test_what_was_in_work_when_rewinding_moves_nothing() -> None:
    """After a failover a partition is read from before, whatever is still being written."""
    at = positions(10, *range(200))
    in_work = await at.check(TP0, 1, 10)
    in_work.folded = in_work.safe = 50
    at.rewind(TP0, 20)
    in_work.folded = in_work.safe = 60
    assert (at.expected(TP0), to_commit(at, 1)) == (20, {TP0: 20})
    with pytest.raises(EventsSkipped, match="20 to 59"):
        await at.check(TP0, 1, 60)
    assert not at.is_current(TP0, in_work)


async def test_rewinding_twice() -> None:
    """What was not safe is read again; if Redis then turns out to have changed, all it may lack."""

    async def start_of(_: TP) -> Start:
        return Start(100, 40)

    at = Positions(start_of, Kafka(0, *range(200)).first_from)
    (await at.check(TP0, 1, 100)).safe = 150
    at.rewind(TP0, 150)
    position = at.of(TP0)
    assert position is not None
    assert (position.folded, position.since) == (150, 40)
    at.rewind(TP0, 40)
    assert (await at.check(TP0, 1, 40)).since == 40


async def test_a_partition_of_which_nothing_has_come_is_rewound_too() -> None:
    """Whether it is known by then where it would have begun, or only being asked."""
    asked = asyncio.Event()

    async def start_of(_: TP) -> Start:
        await asked.wait()
        return Start(100, 100)

    at = Positions(start_of, Kafka(0, *range(200)).first_from)
    at.assigned([TP0, TP1])
    checking = asyncio.create_task(at.check(TP1, 1, 20))
    await asyncio.sleep(0)  # now it waits for the answer
    for tp in (TP0, TP1):
        at.rewind(tp, 20)
    asked.set()
    assert (await checking).folded == 20
    assert (at.expected(TP0), (await at.check(TP0, 1, 20)).folded) == (20, 20)


def test_what_a_replica_must_have() -> None:
    """What was safe a minute ago; of a new start what the one before has told."""
    position = Position(1, Start(100, 40))
    told = []
    for now in range(0, 130, 10):
        position.safe += 10
        position.mark(now, 60.0)
        told.append(position.since)
    assert told == [40] * 6 + [110, 120, 130, 140, 150, 160, 170]
    position.mark(10_000, 60.0)
    assert position.since == position.safe


def test_marks_are_few() -> None:
    """However long the rewind and often the commits."""
    position = Position(1, Start(0, 0))
    for second in range(100_000):
        position.mark(float(second), 50_000.0)
    assert len(position._marks) <= MARKS + 1


async def test_positions_are_asked_for_ahead_of_the_first_batch() -> None:
    """All at once when partitions are assigned; what failed then is asked again when needed."""
    kafka, asked = Kafka(10, *range(200)), []
    away = True

    async def start_of(tp: TP) -> Start:
        asked.append(tp)
        if away and tp == TP1:
            raise KafkaUnavailable("away")
        return await kafka.start_of(tp)

    at = Positions(start_of, kafka.first_from)
    at.assigned([TP0, TP1])
    await asyncio.sleep(0)
    assert asked == [TP0, TP1]
    await at.check(TP0, 1, 10)
    with pytest.raises(KafkaUnavailable):
        await at.check(TP1, 1, 10)
    away = False
    await at.check(TP1, 1, 10)
    assert asked == [TP0, TP1, TP1]
    at.assigned([TP0])
    kafka.start = 50  # another worker has committed meanwhile
    await at.check(TP0, 2, 50)
    assert to_commit(at, 2) == {TP0: 50}


HELD = Note("topic-2", "redis-2", 40)


@pytest.mark.parametrize(
    ("commit", "start"),
    [
        (None, None),
        (Commit(100, Note("topic-1", "redis-2", 40)), None),
        (Commit(100, HELD), Start(100, 40)),
        (Commit(100, Note("topic-2", "redis-1", 40)), Start(40, 40)),
        (Commit(100, Note()), Start(100, 100)),
    ],
)
def test_where_reading_begins(commit: Commit | None, start: Start | None) -> None:
    """Behind the commit; earlier if Redis is another one, at the start if the topic is."""
    assert start_after(commit, topic_id="topic-2", replication_id="redis-2") == start
