"""All that the server can be told, by environment variables that start with :data:`PREFIX`."""

from __future__ import annotations

import re
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
    TopicPrefix,
)

PREFIX: Final = "ATTUNE_RECOMMENDATIONS_"

SHOP: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
"""A shop's id, as in the contracts."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The server's settings; the text beside each is what ``--help`` shows."""

    kafka_servers: KafkaServers
    redis_url: RedisUrl
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
    bundle: Annotated[
        str,
        Meta(
            description="The folder of the model bundle that answers for all shops; or none, where "
            "there is a registry."
        ),
    ] = ""
    registry: Annotated[
        str,
        Meta(
            description="Where the registry of models lies: a folder, or an object store as fsspec "
            "names it, such as s3://bucket/models."
        ),
    ] = ""
    shops: Annotated[
        str,
        Meta(description="With a registry: which shops this server answers for, commas between."),
    ] = ""
    registry_poll_ms: Annotated[
        int,
        Meta(
            ge=100,
            le=3_600_000,
            description="Milliseconds between two looks into the registry: how soon a change is "
            "seen.",
        ),
    ] = 5_000
    model_cache: Annotated[
        str,
        Meta(
            description="With a registry: the folder of this server's own into which bundles are "
            "fetched. One that outlives a restart lets it start while the registry is away."
        ),
    ] = ""
    model_cache_mb: Annotated[
        int,
        Meta(ge=1, description="So many megabytes of bundles that are not in use may stay there."),
    ] = 4_096
    model_memory_mb: Annotated[
        int,
        Meta(
            ge=1,
            description="Megabytes that the models of all shops may take in memory; while one is "
            "exchanged for another both count.",
        ),
    ] = 2_048
    log_level: LogLevel = "info"

    def __post_init__(self) -> None:
        """Raise ValueError unless there is one place that models come from, and told whole."""
        if bool(self.bundle) == bool(self.registry):
            raise ValueError(
                "models come from BUNDLE, a folder, or from REGISTRY; set one of them, not both"
            )
        if self.registry and not (self.served_shops and self.model_cache):
            raise ValueError(
                "beside REGISTRY set SHOPS, such as demo,other, and the folder MODEL_CACHE"
            )
        if self.bundle and self.shops:
            raise ValueError(
                "beside BUNDLE there can be no SHOPS, as its model answers for all of them"
            )
        for shop_id in self.served_shops:
            if not SHOP.fullmatch(shop_id):
                raise ValueError(f"among SHOPS {shop_id!r} is no shop's id")

    @property
    def served_shops(self) -> tuple[str, ...]:
        """The shops that are named, each once."""
        named = (each.strip() for each in self.shops.split(","))
        return tuple(dict.fromkeys(each for each in named if each))
