"""All that the server can be told, by environment variables that start with :data:`PREFIX`."""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

PREFIX: Final = "ATTUNE_RECOMMENDATIONS_"

Port = Annotated[int, Meta(ge=0, le=65_535)]
Text = Annotated[str, Meta(min_length=1)]


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The server's settings; the text beside each is what ``--help`` shows."""

    kafka_servers: Annotated[
        Text, Meta(description="Kafka brokers, such as kafka-1:9092,kafka-2:9092.")
    ]
    redis_url: Annotated[
        str,
        Meta(
            pattern="^(rediss?|unix)://",
            description="Redis, such as redis://host:6379/0; rediss:// for TLS.",
        ),
    ]
    bundle: Annotated[Text, Meta(description="The folder of the model bundle.")]
    api_keys_file: Annotated[
        Text,
        Meta(description="Hashes of API keys; python -m services.shared.identity makes it."),
    ]
    topic_prefix: Annotated[
        str, Meta(max_length=100, description="Stands before the name of every topic.")
    ] = ""
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
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], Meta(description="The least level to log.")
    ] = "info"
