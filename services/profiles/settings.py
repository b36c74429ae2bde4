"""All that the worker can be told, by environment variables that start with :data:`PREFIX`."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Final, Literal

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

PREFIX: Final = "ATTUNE_PROFILES_"

Seconds = Annotated[int, Meta(ge=60, le=100 * 365 * 24 * 3600)]


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The worker's settings; the text beside each is what ``--help`` shows."""

    kafka_servers: KafkaServers
    redis_url: RedisUrl
    master_key_file: MasterKeyFile
    topic_prefix: TopicPrefix = ""
    group: GroupName = "attune-profiles"
    instance_id: InstanceId = ""
    session_timeout_seconds: SessionTimeoutSeconds = 10
    redis_replicas: Annotated[
        int,
        Meta(
            ge=0,
            le=5,
            description="How many connected replicas of Redis must have a write on disk, too, "
            "before its events are committed; where fewer are connected, those.",
        ),
    ] = 1
    failover_rewind_seconds: Annotated[
        int,
        Meta(
            ge=0,
            le=7 * 24 * 3600,
            description="After a failover of Redis, what was folded in so long before is folded "
            "again.",
        ),
    ] = 60
    refused_share_limit: Annotated[
        float,
        Meta(
            gt=0,
            le=1,
            description="If more than this share of the newest 10,000 events would be refused, "
            "the worker stops and says so; 1 stops at nothing.",
        ),
    ] = 0.9
    profile_layout: Annotated[
        Literal["1", "2"],
        Meta(
            description="Which layout profiles are written in; both are read. Before a rollback "
            "to a release that knows layout 1 only: 1."
        ),
    ] = "2"
    health_host: Annotated[str, Meta(description="Where gRPC health listens.")] = "127.0.0.1"
    health_port: Port = 50052
    metrics_host: MetricsHost = "127.0.0.1"
    metrics_port: Port = 9102
    event_age_limit_seconds: Annotated[
        Seconds, Meta(description="An event that is older when it reaches Kafka is refused.")
    ] = 604_800
    profile_retention_seconds: Annotated[
        Seconds, Meta(description="A profile goes this long after it was last written.")
    ] = 7_776_000
    log_level: LogLevel = "info"

    @property
    def event_age_limit(self) -> timedelta:
        """How old an event may be when the broker appends it."""
        return timedelta(seconds=self.event_age_limit_seconds)

    @property
    def profile_retention(self) -> timedelta:
        """How long a profile is kept after it was last written."""
        return timedelta(seconds=self.profile_retention_seconds)

    @property
    def events_topic(self) -> str:
        """Where events come from."""
        return self.topic_prefix + "shopper-events"

    @property
    def history_topic(self) -> str:
        """Where the events of a shop's time before Attune come from."""
        return self.topic_prefix + "shopper-history"

    @property
    def dead_letters_topic(self) -> str:
        """Where refused events go."""
        return self.topic_prefix + "dead-letters"
