"""All that the server can be told, by environment variables that start with :data:`PREFIX`."""

from __future__ import annotations

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
    RedisUrl,
    Text,
    TopicPrefix,
)

PREFIX: Final = "ATTUNE_RECOMMENDATIONS_"


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The server's settings; the text beside each is what ``--help`` shows."""

    kafka_servers: KafkaServers
    redis_url: RedisUrl
    bundle: Annotated[Text, Meta(description="The folder of the model bundle.")]
    api_keys_file: ApiKeysFile
    topic_prefix: TopicPrefix = ""
    scenarios: Annotated[
        str,
        Meta(
            description="The folder of scenario documents: <shop>.yaml of a shop, default.yaml of "
            "those without; changes count while it runs. Only what comes ready if empty."
        ),
    ] = ""
    host: GrpcHost = "127.0.0.1"
    port: Port = 50_051
    master_key_file: Annotated[
        str,
        Meta(
            description="The master key, under which logged answers are sealed. Without one "
            "answers are not logged, and nothing is attributed to them."
        ),
    ] = ""
    share_port: Annotated[
        bool,
        Meta(
            description="Whether other servers may listen on the same port; the kernel spreads "
            "connections over them. One process uses one core; each holds the catalogue."
        ),
    ] = False
    metrics_host: MetricsHost = "127.0.0.1"
    metrics_port: Port = 9_101
    profile_deadline_ms: Annotated[
        int,
        Meta(
            ge=1,
            le=10_000,
            description="Milliseconds that reading a profile may take before the answer does "
            "without.",
        ),
    ] = 50
    drain_ms: DrainMs = 500
    log_level: LogLevel = "info"
