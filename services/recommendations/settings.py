"""All that the server can be told, by environment variables that start with :data:`PREFIX`."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from services.shared.settings import KafkaServers, LogLevel, Port, RedisUrl, TopicPrefix

PREFIX: Final = "ATTUNE_RECOMMENDATIONS_"

Text = Annotated[str, Meta(min_length=1)]


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The server's settings; the text beside each is what ``--help`` shows."""

    kafka_servers: KafkaServers
    redis_url: RedisUrl
    bundle: Annotated[Text, Meta(description="The folder of the model bundle.")]
    api_keys_file: Annotated[
        Text,
        Meta(description="Hashes of API keys; python -m services.shared.identity makes it."),
    ]
    topic_prefix: TopicPrefix = ""
    host: Annotated[Text, Meta(description="Where gRPC listens.")] = "127.0.0.1"
    port: Annotated[Port, Meta(description="Its port; 0 takes a free one.")] = 50_051
    metrics_host: Annotated[Text, Meta(description="Where Prometheus metrics listen.")] = (
        "127.0.0.1"
    )
    metrics_port: Annotated[Port, Meta(description="Its port; 0 takes a free one.")] = 9_101
    profile_deadline_ms: Annotated[
        int,
        Meta(
            ge=1,
            le=10_000,
            description="Milliseconds that reading a profile may take before the answer does "
            "without.",
        ),
    ] = 50
    drain_ms: Annotated[
        int,
        Meta(
            ge=0,
            le=60_000,
            description="Milliseconds that the server keeps taking calls after SIGTERM, while "
            "health says NOT_SERVING and load balancers look elsewhere.",
        ),
    ] = 500
    log_level: LogLevel = "info"
