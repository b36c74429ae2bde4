"""Kafka, as the archive reads it."""

from __future__ import annotations

from collections.abc import Sequence

from services.archive.settings import Settings
from services.shared.kafka_partitions import Membership, Partitions


def stream(settings: Settings, topics: Sequence[str]) -> Partitions:
    """The records of the group's partitions of ``topics``."""
    membership = Membership(
        settings.kafka_servers,
        settings.group,
        settings.instance_id,
        settings.session_timeout_seconds,
    )
    return Partitions(membership, topics)
