"""All that the recommendations server can be told, by ``ATTUNE_RECOMMENDATIONS_…``."""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec

PREFIX: Final = "ATTUNE_RECOMMENDATIONS_"

Port = Annotated[int, msgspec.Meta(ge=0, le=65_535)]
Text = Annotated[str, msgspec.Meta(min_length=1)]


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Each field is told by the prefix and its name in capitals."""

    kafka_servers: Text
    """Where the topics ``catalog`` and ``offers`` are: ``host:port``, several with commas."""
    redis_url: Text
    """Where profiles and trends are: ``redis://[[user]:password@]host:port/db``."""
    bundle: Text
    """The folder of the model bundle."""
    api_keys_file: Text
    """The keys file, see ``services.shared.identity``."""
    topic_prefix: str = ""
    """What stands before each topic's name."""
    host: Text = "127.0.0.1"
    """The address that gRPC listens on."""
    port: Port = 50_051
    """The port that gRPC listens on; 0 takes a free one."""
    metrics_host: Text = "127.0.0.1"
    """The address of ``/metrics``."""
    metrics_port: Port = 9_101
    """The port of ``/metrics``; 0 takes a free one."""
    profile_deadline_ms: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 50
    """How long reading a profile may take before the answer does without."""
    drain_ms: Annotated[int, msgspec.Meta(ge=0, le=60_000)] = 500
    """How long the server keeps taking calls after SIGTERM, while health says NOT_SERVING
    and load balancers look elsewhere."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """The least serious log lines that are written."""
