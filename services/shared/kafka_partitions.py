"""Kafka: partitions that come and go, and their records, fetched when they are asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.errors import IllegalStateError, KafkaError

from services.shared.errors import KafkaUnavailable

FETCH_BYTES: Final = 1024 * 1024
"""Of one partition at once, as they come over the wire: compressed ones may hold far more."""

RECORDS: Final = 2_000
"""At once; between two such the process does what else there is to do."""

WAIT_MS: Final = 500
"""How long to wait for records; so late a stop is noticed."""

DEADLINE_SECONDS: Final = 15.0
HOLD_MS: Final = 24 * 3600 * 1000
"""A process that waits for its disk keeps its partitions: another would wait as well."""

_log = structlog.get_logger()


class TP(NamedTuple):
    """A topic's name and a partition's number."""

    topic: str
    partition: int


class Membership(NamedTuple):
    """A process in a consumer group."""

    servers: str
    group: str
    instance_id: str
    """Its own name, the same after a restart; none if empty."""
    session_timeout_seconds: int


class Partitions(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka is not typed
    """The records of those partitions that the group gives to this process."""

    def __init__(
        self,
        membership: Membership,
        topics: Sequence[str],
        *,
        assignor: type = RoundRobinPartitionAssignor,
    ) -> None:
        """Connects in :meth:`start`. All processes of a group share one way of assigning."""
        self._membership = membership
        self._topics = topics
        self._assignor = assignor
        self._fresh: set[TP] = set()
        self._gone: set[TP] = set()
        self._assigned = False
        self._consumer: Any = None

    @property
    def is_assigned(self) -> bool:
        """Whether the group has given us partitions, be it none."""
        return self._assigned

    async def start(self) -> None:
        """Join the group. Raises KafkaUnavailable."""
        told = self._membership
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=told.servers,
            group_id=told.group,
            group_instance_id=told.instance_id or None,
            session_timeout_ms=told.session_timeout_seconds * 1000,
            heartbeat_interval_ms=told.session_timeout_seconds * 300,
            partition_assignment_strategy=(self._assignor,),
            max_poll_interval_ms=HOLD_MS,
            max_partition_fetch_bytes=FETCH_BYTES,
            metadata_max_age_ms=30_000,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
        )
        self._consumer.subscribe(self._topics, listener=self)
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                await self._consumer.start()
        except (KafkaError, OSError, TimeoutError) as error:
            await self.close()
            raise KafkaUnavailable(f"no group to be joined: {error!r}") from error

    async def close(self) -> None:
        """Leave, if it was joined."""
        if self._consumer is None:
            return
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                await self._consumer.stop()
        except (KafkaError, OSError, TimeoutError) as error:
            _log.warning("not_left", reason=repr(error))

    def moved(self) -> tuple[set[TP], set[TP]]:
        """Partitions that were taken and those that were given since this was last asked.

        A partition may be both: then somebody else may have had it meanwhile.
        """
        gone, fresh = self._gone, self._fresh
        self._gone, self._fresh = set(), set()
        return gone, fresh

    def held(self) -> set[TP]:
        """The partitions that are this process' now."""
        return {TP(*tp) for tp in self._consumer.assignment()}

    def again(self, tps: Iterable[TP]) -> None:
        """Treat partitions that are held as if they were given just now."""
        self._fresh |= self.held() & set(tps)

    async def earliest(self, tps: Iterable[TP]) -> dict[TP, int]:
        """The first offset that Kafka has of each. Raises KafkaUnavailable.

        Best asked for all at once: an answer stands behind a fetch that waits for records.
        """
        asked = [TopicPartition(*tp) for tp in tps]
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                found = await self._consumer.beginning_offsets(asked)
        except (KafkaError, OSError, TimeoutError) as error:
            raise KafkaUnavailable(f"no first offsets: {error!r}") from error
        return {TP(*tp): int(offset) for tp, offset in found.items()}

    def seek(self, tp: TP, offset: int) -> bool:
        """Read ``tp`` from ``offset``; False where it was taken meanwhile."""
        try:
            self._consumer.seek(TopicPartition(*tp), offset)
        except IllegalStateError:
            return False
        return True

    async def take(
        self, of: Iterable[TP] | None = None, *, records: int = RECORDS
    ) -> dict[TP, list[Any]]:
        """Records of partitions, of all if not said; none where none came in time."""
        held = self._consumer.assignment()
        asked = [TopicPartition(*tp) for tp in of or () if TopicPartition(*tp) in held]
        if of is not None and not asked:
            await asyncio.sleep(WAIT_MS / 1000)
            return {}
        try:
            found = await self._consumer.getmany(*asked, timeout_ms=WAIT_MS, max_records=records)
        except KafkaError as error:
            _log.warning("not_fetched", reason=repr(error))
            await asyncio.sleep(WAIT_MS / 1000)
            return {}
        return {TP(*tp): records for tp, records in found.items()}

    def lag(self, tp: TP, upto: int) -> int | None:
        """How many offsets there are from ``upto`` on; None where that is not known."""
        try:
            end = self._consumer.highwater(TopicPartition(*tp))
        except (AssertionError, IllegalStateError):
            return None
        return None if end is None else max(0, end - upto)

    async def commit(self, offsets: Mapping[TP, int]) -> None:
        """Tell Kafka, for those who watch the lag; whoever reads on goes by the archive."""
        held = self._consumer.assignment()
        told = {
            TopicPartition(*tp): at for tp, at in offsets.items() if TopicPartition(*tp) in held
        }
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                if told:
                    await self._consumer.commit(told)
        except (KafkaError, IllegalStateError, OSError, TimeoutError) as error:
            _log.warning("not_committed", reason=repr(error), meaning="tried again at the next")

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Called by aiokafka."""
        self._assigned = False
        for tp in revoked:
            self._gone.add(TP(*tp))
            self._fresh.discard(TP(*tp))

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Called by aiokafka."""
        self._assigned = True
        self._fresh |= {TP(*tp) for tp in assigned}
