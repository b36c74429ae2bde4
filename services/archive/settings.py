"""All that the archive can be told, by environment variables that start with :data:`PREFIX`."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from services.shared.settings import (
    GroupName,
    InstanceId,
    KafkaServers,
    LogLevel,
    MasterKeyFile,
    MetricsHost,
    Port,
    SessionTimeoutSeconds,
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


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The archive's settings; the text beside each is what ``--help`` shows."""

    kafka_servers: KafkaServers
    root: Root
    master_key_file: MasterKeyFile
    topic_prefix: TopicPrefix = ""
    group: GroupName = "attune-archive"
    instance_id: InstanceId = ""
    session_timeout_seconds: SessionTimeoutSeconds = 10
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
