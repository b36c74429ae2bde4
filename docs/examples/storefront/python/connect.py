"""The one channel that a process needs, for as long as it lives."""

from pathlib import Path

import grpc

SERVICE_CONFIG = Path(__file__).with_name("service_config.json")

OPTIONS = (
    ("grpc.service_config", SERVICE_CONFIG.read_text()),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
)


def connect(target: str, authorities: Path | None) -> grpc.Channel:
    """Open it: with TLS if ``authorities`` is a PEM file of whom to trust, else in plaintext."""
    if authorities is None:
        return grpc.insecure_channel(target, OPTIONS)
    trusting = grpc.ssl_channel_credentials(authorities.read_bytes())
    return grpc.secure_channel(target, trusting, OPTIONS)
