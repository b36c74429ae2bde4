"""All that the archive can be told, by environment variables that start with :data:`PREFIX`."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from services.shared.settings import (
    KafkaServers,
    LogLevel,
    MetricsHost,
    Port,
    Text,
    TopicPrefix,
)

PREFIX: Final = "ATTUNE_ARCHIVE_"

Root = Annotated[
    Text,
    Meta(
        description="Where the archive lies: a folder, or an object store as fsspec names it, "
        "such as s3://bucket/attune."
    ),
]
MasterKeyFile = Annotated[
    Text,
    Meta(description="The master key; python -m services.shared.sealing makes one."),
]


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The archive's settings; the text beside each is what ``--help`` shows."""

    kafka_servers: KafkaServers
    root: Root
    master_key_file: MasterKeyFile
    topic_prefix: TopicPrefix = ""
    group: Annotated[
        str, Meta(min_length=1, description="Consumer group; processes of one share the work.")
    ] = "attune-archive"
    instance_id: Annotated[
        str,
        Meta(
            description="This process' own name in the group, the same after a restart "
            "(static membership: no rebalance). None if empty."
        ),
    ] = ""
    session_timeout_seconds: Annotated[
        int,
        Meta(
            ge=1,
            le=300,
            description="A process that says nothing for so long loses its partitions to others.",
        ),
    ] = 10
    flush_seconds: Annotated[
        int,
        Meta(ge=1, le=3600, description="At the latest so long after it came an event is kept."),
    ] = 60
    flush_events: Annotated[
        int, Meta(ge=1, le=2_000_000, description="Or as soon as so many have come.")
    ] = 200_000
    flush_bytes: Annotated[
        int,
        Meta(
            ge=1 << 16,
            le=1 << 32,
            description="Or so many bytes of them; a process takes about six times that in memory.",
        ),
    ] = 128 << 20
    health_host: Annotated[str, Meta(description="Where gRPC health listens.")] = "127.0.0.1"
    health_port: Port = 50_054
    metrics_host: MetricsHost = "127.0.0.1"
    metrics_port: Port = 9_104
    log_level: LogLevel = "info"
