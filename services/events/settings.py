"""All that the server can be told, by environment variables that start with :data:`PREFIX`."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from services.shared.settings import (
    ApiKeysFile,
    DrainMs,
    GrpcHost,
    KafkaServers,
    LogLevel,
    MetricsHost,
    Port,
    TopicPrefix,
)

PREFIX: Final = "ATTUNE_EVENTS_"


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The server's settings; the text beside each is what ``--help`` shows."""

    kafka_servers: KafkaServers
    api_keys_file: ApiKeysFile
    topic_prefix: TopicPrefix = ""
    host: GrpcHost = "127.0.0.1"
    port: Port = 50_053
    metrics_host: MetricsHost = "127.0.0.1"
    metrics_port: Port = 9_103
    event_age_limit_seconds: Annotated[
        int,
        Meta(
            ge=60,
            le=100 * 365 * 24 * 3600,
            description="An event that is older is refused. Set it as for the profiles worker, "
            "which judges again.",
        ),
    ] = 604_800
    bytes_in_hand: Annotated[
        int,
        Meta(
            ge=1 << 20,
            le=1 << 34,
            description="Bytes of requests that wait for Kafka at once; beyond them calls are "
            "refused with RESOURCE_EXHAUSTED.",
        ),
    ] = 64 << 20
    drain_ms: DrainMs = 500
    log_level: LogLevel = "info"

    @property
    def event_age_limit(self) -> timedelta:
        """How old an event may be when it is received."""
        return timedelta(seconds=self.event_age_limit_seconds)

    @property
    def events_topic(self) -> str:
        """Where events go."""
        return self.topic_prefix + "shopper-events"


IMPORT_PREFIX: Final = "ATTUNE_IMPORT_"


class ImportSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What an import is told by environment variables that start with :data:`IMPORT_PREFIX`."""

    kafka_servers: KafkaServers
    topic_prefix: TopicPrefix = ""

    @property
    def history_topic(self) -> str:
        """Where the events of a shop's time before Attune go."""
        return self.topic_prefix + "shopper-history"
