"""Kafka, as attribution reads it: two topics, of which a process has the same partitions."""

from __future__ import annotations

from collections.abc import Sequence

from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.partitioner import murmur2

from services.attribution.settings import Settings
from services.shared.kafka_partitions import Membership, Partitions


def stream(settings: Settings, topics: Sequence[str]) -> Partitions:
    """The records of the group's partitions of ``topics``, which have as many each.

    Ranges: of topics with as many partitions a process is given the same numbers of each.
    """
    membership = Membership(
        settings.kafka_servers,
        settings.group,
        settings.instance_id,
        settings.session_timeout_seconds,
    )
    return Partitions(membership, topics, assignor=RangePartitionAssignor)


def partition_of(key: bytes, partitions: int) -> int:
    """Where Kafka's own client puts a record of this key, of so many partitions."""
    return int(murmur2(key) & 0x7FFFFFFF) % partitions
