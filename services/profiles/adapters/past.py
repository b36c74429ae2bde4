"""All that the topics of events have ever brought: first from the archive, then from Kafka.

The archive follows Kafka by a minute or so; what it does not have yet the topic still has.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing
from datetime import timedelta
from itertools import islice
from typing import Any, Final, NamedTuple

import polars as pl

from services.profiles.domain.silence import Silences
from services.shared.archive_log import Partition
from services.shared.archive_reader import ArchiveReader
from services.shared.archive_rows import Archived
from services.shared.errors import BadInput, EventRefused
from services.shared.event_age import FUTURE_LIMIT, AgeRule, first_appended
from services.shared.event_codec import decode_event
from services.shared.kafka import describe_topics
from services.shared.kafka_reading import Span, read_spans, spans_of
from services.shared.sealing import MasterKey

AT_ONCE: Final = 2_000
"""Events that are handed out together."""

ROWS_KEPT: Final = 1_000_000
"""Of one day of the topics, before they are made fewer."""


class Past(NamedTuple):
    """What one topic has brought, and where it is."""

    topic: str
    age: AgeRule
    archived: tuple[Partition, ...]
    """Also of topics of the same name that are gone."""
    rest: dict[int, Span]
    """What the archive does not have, by partition."""


async def past_of(
    servers: str, topic: str, table: str, age: AgeRule, reader: ArchiveReader
) -> Past:
    """Where everything is that ``topic`` has brought until now.

    Raises KafkaUnavailable, StorageUnavailable, and BadInput where events are in neither.
    """
    topic_id = (await describe_topics(servers, [topic]))[topic].topic_id
    archived = await asyncio.to_thread(reader.partitions, table)
    upto = {
        each.partition: await asyncio.to_thread(reader.archived_up_to, each)
        for each in archived
        if each.topic_id == topic_id
    }
    rest: dict[int, Span] = {}
    for number, (first, end) in (await spans_of(servers, topic)).items():
        begin = max(upto.get(number, 0), 0)
        if begin < first:
            raise BadInput(
                f"{topic}, partition {number}: the events at {begin} to {first - 1} are neither in "
                "the archive nor in the topic any more; profiles made without them would lack them"
            )
        rest[number] = Span(begin, max(begin, end))
    return Past(topic, age, tuple(archived), rest)


async def archived_events(
    reader: ArchiveReader, partition: Partition
) -> AsyncGenerator[list[Archived], None]:
    """The events of a partition of the archive, in order. Raises StorageUnavailable."""
    rows = reader.read(partition)
    while some := await asyncio.to_thread(lambda: list(islice(rows, AT_ONCE))):
        yield some


async def topic_events(servers: str, past: Past) -> AsyncGenerator[list[Archived], None]:
    """The events that only the topic has, in order by partition. Raises KafkaUnavailable."""
    async with aclosing(read_spans(servers, past.topic, past.rest)) as read:
        async for partition, records in read:
            yield [each for record in records if (each := _event(partition, record)) is not None]


async def silences_of(
    pasts: Sequence[Past],
    reader: ArchiveReader,
    servers: str,
    master: MasterKey,
    retention: timedelta,
) -> Silences:
    """Since when each shopper is known. Raises KafkaUnavailable and StorageUnavailable."""
    found = Silences(retention // timedelta(microseconds=1))
    fresh = await _fresh_days(pasts, servers, master)
    stored = [(past, each) for past in pasts for each in past.archived]
    days = set(fresh)
    for _, partition in stored:
        days |= await asyncio.to_thread(reader.days, partition)
    for day in sorted(days):
        frames = fresh.get(day, [])
        for past, partition in stored:
            rows = await asyncio.to_thread(
                lambda p, d: list(map(_seen, reader.frames(p, days=(d, d)))), partition, day
            )
            frames += [_taken(frame, past.age) for frame in rows]
        await asyncio.to_thread(found.add_day, frames)
    return found


async def _fresh_days(
    pasts: Iterable[Past], servers: str, master: MasterKey
) -> dict[str, list[pl.DataFrame]]:
    """Who did something when, by day, of what only the topics have."""
    days: defaultdict[str, list[pl.DataFrame]] = defaultdict(list)
    for past in pasts:
        async with aclosing(topic_events(servers, past)) as read:
            async for some in read:
                seen = [
                    (person_of(master, each.name), each.appended)
                    for each in some
                    if is_taken(each, past.age)
                ]
                frame = pl.DataFrame(seen, {"person": pl.UInt64, "at": pl.Int64}, orient="row")
                date = pl.from_epoch("at", "us").dt.strftime("%Y-%m-%d")
                dated = frame.with_columns(day=date)
                for (day,), part in dated.partition_by("day", as_dict=True).items():
                    days[str(day)] = _fewer([*days[str(day)], part])
    return days


def person_of(master: MasterKey, name: bytes) -> int:
    """The keyed hash of a ``shop_id/subject`` that silences go by."""
    return int.from_bytes(master.pseudonym(name)[:8], "little")


def is_taken(event: Archived, age: AgeRule) -> bool:
    """Whether the worker took it: not too old, nor from the future."""
    try:
        age.check(event.event.at, event.first_appended)
    except EventRefused:
        return False
    return True


def _event(partition: int, record: Any) -> Archived | None:
    """The event of a record; None where it is none, which is a dead letter by now."""
    try:
        event = decode_event(record.key, record.value, record.headers)
    except EventRefused:
        return None
    first = first_appended(record.timestamp, record.headers)
    return Archived(partition, record.offset, record.timestamp * 1000, first * 1000, event)


def _seen(frame: pl.DataFrame) -> pl.DataFrame:
    """Who did something when, and how old that was when it came; moments in microseconds."""
    person = pl.col("person").bin.slice(0, 8).bin.reinterpret(dtype=pl.UInt64)
    age = (pl.col("first_appended_at") - pl.col("occurred_at")).cast(pl.Int64)
    return frame.select(
        person.alias("person"), pl.col("appended_at").cast(pl.Int64).alias("at"), age.alias("age")
    )


def _taken(frame: pl.DataFrame, age: AgeRule) -> pl.DataFrame:
    taken = pl.col("age") >= -(FUTURE_LIMIT // timedelta(microseconds=1))
    if age.limit is not None:
        taken &= pl.col("age") <= age.limit // timedelta(microseconds=1)
    return frame.filter(taken).drop("age")


def _fewer(frames: list[pl.DataFrame]) -> list[pl.DataFrame]:
    """The same for whoever asks for the first and the last of each; few enough."""
    if sum(map(len, frames)) < ROWS_KEPT:
        return frames
    every = pl.concat(frame.select("person", "at") for frame in frames).group_by("person")
    return [every.agg(pl.min("at")), every.agg(pl.max("at"))]
