"""Takes records from Kafka to the archive, partition by partition, each offset once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import structlog

from services.archive.domain.gathering import Gathered, Limits, is_due
from services.archive.domain.tables import Table
from services.archive.metrics import EVENTS, FLUSH_SECONDS, GATHERED, LAG
from services.archive.writing import Staged, Writer
from services.shared.archive_log import Log, Partition, Superseded
from services.shared.errors import EventRefused
from services.shared.health import Health
from services.shared.kafka import describe_topics
from services.shared.kafka_partitions import TP, Partitions
from services.shared.trying import insist

_log = structlog.get_logger()


class Held(NamedTuple):
    """A partition that is ours, and what has come of it."""

    log: Log
    table: Table
    gathered: Gathered


class Archiving:
    """The work of one process."""

    def __init__(
        self,
        stream: Partitions,
        writer: Writer,
        *,
        servers: str,
        tables: Mapping[str, Table],
        topic_ids: dict[str, str],
        limits: Limits,
        health: Health,
    ) -> None:
        """``tables`` and ``topic_ids`` are by the topics' names."""
        self._stream = stream
        self._writer = writer
        self._servers = servers
        self._tables = tables
        self._topic_ids = topic_ids
        self._limits = limits
        self._health = health
        self._held: dict[TP, Held] = {}
        self._failing = False
        self._went_back = False
        """Whether a record came whose offset was passed: its topic may be another one."""

    async def run(self, ending: asyncio.Event) -> None:
        """Work until told to end; then put what was gathered into files, if that can be done."""
        while not ending.is_set():
            await self._take_over(ending)
            for tp, records in (await self._stream.take()).items():
                held = self._held.get(tp)
                if held is not None:
                    self._gather(tp, held, records)
            self._tell()
            if self._went_back:
                await self._look_at_topics(ending)
            gathered = [held.gathered for held in self._held.values()]
            if is_due(gathered, self._limits, time.monotonic()):
                await self._flush(ending)
        if any(held.gathered.since is not None for held in self._held.values()):
            await self._flush(ending)

    async def _take_over(self, ending: asyncio.Event) -> None:
        """Let go of partitions that were taken from us, claim those that we were given."""
        gone, fresh = self._stream.moved()
        for tp in gone | fresh:
            self._held.pop(tp, None)
        if not fresh or ending.is_set():
            return
        earliest = await self._insist(lambda: self._stream.earliest(fresh), "ask", ending)
        for tp in sorted(fresh):
            if ending.is_set():
                return
            await self._claim(tp, earliest[tp], ending)

    async def _claim(self, tp: TP, earliest: int, ending: asyncio.Event) -> None:
        table = self._tables[tp.topic]
        partition = Partition(table.name, self._topic_ids[tp.topic], tp.partition)
        log = await self._insist(
            lambda: asyncio.to_thread(self._writer.claim, partition, earliest), "claim", ending
        )
        if log.next < earliest:
            _log.error(
                "events_gone",
                topic=tp.topic,
                partition=tp.partition,
                first=log.next,
                last=earliest - 1,
                meaning="Kafka has kept them for less long than they waited for the archive",
            )
        if self._stream.seek(tp, max(log.next, earliest)):
            self._held[tp] = Held(log, table, Gathered(max(log.next, earliest)))
            _log.info("claimed", topic=tp.topic, partition=tp.partition, offset=log.next)

    def _gather(self, tp: TP, held: Held, records: list[Any]) -> None:
        gathered, row, now = held.gathered, held.table.row, time.monotonic()
        accepted = 0
        if gathered.doubts(records[0].offset):
            self._stream.seek(tp, gathered.next)
            return
        for record in records:
            if record.offset < gathered.next:
                self._went_back = True  # or it was fetched before the partition was claimed
                continue
            try:
                gathered.rows.append(row(record))
                accepted += 1
            except EventRefused as refusal:
                EVENTS.labels(refusal.code).inc()
            gathered.passed(record.offset, len(record.value or b""), now)
        EVENTS.labels("gathered").inc(accepted)
        if (lag := self._stream.lag(tp, held.log.next)) is not None:
            LAG.labels(*tp).set(lag)

    async def _flush(self, ending: asyncio.Event) -> None:
        """Put all that was gathered into files, and tell Kafka."""
        await self._look_at_topics(ending)
        work = {tp: held for tp, held in self._held.items() if held.gathered.since is not None}
        pairs = [(held.log, held.gathered) for held in work.values()]
        with FLUSH_SECONDS.time():
            staged = await self._insist(
                lambda: asyncio.to_thread(self._writer.stage, pairs), "put files", ending
            )
            for (tp, held), files in zip(work.items(), staged, strict=True):
                await self._enter(tp, held, files, ending)
        await self._stream.commit({tp: held.log.next for tp, held in self._held.items()})

    async def _enter(self, tp: TP, held: Held, staged: Staged, ending: asyncio.Event) -> None:
        """Have staged files count, unless somebody else goes on with the partition."""
        log = held.log

        def enter() -> None:
            log.archive(staged.next, staged.files)

        try:
            await self._insist(lambda: asyncio.to_thread(enter), "make files count", ending)
        except Superseded as error:
            _log.warning("superseded", topic=tp.topic, partition=tp.partition, reason=str(error))
            del self._held[tp]
            self._stream.again([tp])
            return
        await self._insist(
            lambda: asyncio.to_thread(log.settle, staged.files), "name files", ending
        )
        self._held[tp] = held._replace(gathered=Gathered(staged.next))

    async def _look_at_topics(self, ending: asyncio.Event) -> None:
        """Let go of what was gathered of a topic that has been made anew."""
        self._went_back = False
        names = list(self._topic_ids)
        found = await self._insist(
            lambda: describe_topics(self._servers, names), "look at the topics", ending
        )
        for topic, described in found.items():
            if described.topic_id != self._topic_ids[topic]:
                _log.warning("topic_made_anew", topic=topic, meaning="all of it is read")
                self._topic_ids[topic] = described.topic_id
                ours = [tp for tp in self._held if tp.topic == topic]
                for tp in ours:
                    del self._held[tp]
                self._stream.again(ours)

    async def _insist(self, attempt: Callable[[], Any], doing: str, ending: asyncio.Event) -> Any:
        """See :func:`insist`; meanwhile we are not ready."""
        return await insist(attempt, doing=doing, giving_up=ending.is_set, failing=self._fails)

    def _fails(self, so: bool) -> None:
        self._failing = so
        self._tell()

    def _tell(self) -> None:
        """Ready means: given partitions, be it none, with all of them claimed, and getting on."""
        GATHERED.set(sum(len(held.gathered.rows) for held in self._held.values()))
        is_ready = self._stream.is_assigned and not self._failing
        if is_ready and not self._health.is_ready:
            _log.info("ready")
            self._health.ready()
        elif not is_ready and self._health.is_ready:
            _log.warning("not_ready", waiting_for=["storage or Kafka"])
            self._health.not_ready()
