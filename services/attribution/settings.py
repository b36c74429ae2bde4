"""All that attribution can be told, by environment variables that start with :data:`PREFIX`."""

from __future__ import annotations

from datetime import timedelta
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
    RedisUrl,
    SessionTimeoutSeconds,
    TopicPrefix,
)

PREFIX: Final = "ATTUNE_ATTRIBUTION_"

Experiments = Annotated[
    str,
    Meta(
        description="The folder with each shop's experiments, SHOP.yaml, as its scenarios have "
        "them; none if empty."
    ),
]


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Attribution's settings; the text beside each is what ``--help`` shows."""

    kafka_servers: KafkaServers
    redis_url: RedisUrl
    master_key_file: MasterKeyFile
    topic_prefix: TopicPrefix = ""
    group: GroupName = "attune-attribution"
    instance_id: InstanceId = ""
    session_timeout_seconds: SessionTimeoutSeconds = 10
    experiments: Experiments = ""
    event_age_limit_seconds: Annotated[
        int, Meta(ge=60, description="Older events count nothing; the workers' own limit.")
    ] = 7 * 24 * 3600
    look_seconds: Annotated[
        int,
        Meta(
            ge=1,
            le=24 * 3600,
            description="So often each experiment is looked at: so late a guard stops its arm.",
        ),
    ] = 60
    health_host: Annotated[str, Meta(description="Where gRPC health listens.")] = "127.0.0.1"
    health_port: Port = 50_055
    metrics_host: MetricsHost = "127.0.0.1"
    metrics_port: Port = 9_105
    log_level: LogLevel = "info"

    @property
    def event_age_limit(self) -> timedelta:
        """As a length of time."""
        return timedelta(seconds=self.event_age_limit_seconds)
