"""What the services of the stack are told, each without its prefix."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from deploy.local.kept import MODEL_CACHE, REGISTRY, SCENARIOS
from deploy.local.services import ROOT, master_key
from deploy.local.supervised import PortTaken, port_for

SHOP: Final = "demo"
BUNDLE: Final = ROOT / "deploy/local/model"
EXAMPLE: Final = ROOT / "deploy/local/scenarios/demo.yaml"
"""What the shop's document says until somebody edits it."""

EVENT_AGE_LIMIT_SECONDS: Final = 366 * 24 * 3600
"""The demo shop's events are up to a year old."""

ARCHIVED_WITHIN_SECONDS: Final = 10
"""On one machine nobody minds small files."""

LOOK_SECONDS: Final = 2
"""So soon attribution knows of an experiment that was written into the shop's document."""

REGISTRY_POLL_MS: Final = 500
"""So soon the server sees what was changed in the registry."""


class Ports(msgspec.Struct, frozen=True):
    """Ports that were asked for; where none was, a usual one is taken, or else a free one."""

    kafka: int | None = None
    redis: int | None = None
    grpc: int | None = None


class Told:
    """Settings of each service; all have the folder to themselves."""

    def __init__(self, folder: Path, common: Mapping[str, str], keys: Path) -> None:
        """``common`` says where Kafka and Redis are, ``keys`` is the file of API keys."""
        self._folder = folder
        self._common = common
        self._keys = keys

    def worker(self) -> dict[str, str]:
        """The profiles worker."""
        return {
            **self._common,
            "HEALTH_PORT": str(port_or("profiles worker", None, 50052)),
            "METRICS_PORT": str(port_or("profiles worker", None, 9102)),
            "EVENT_AGE_LIMIT_SECONDS": str(EVENT_AGE_LIMIT_SECONDS),
        }

    def server(self, port: int | None, *, has_registry: bool) -> dict[str, str]:
        """The recommendations server, with a bundle of its own or a registry of models."""
        models = self._registry() if has_registry else {"BUNDLE": str(BUNDLE)}
        return {
            **self._common,
            **models,
            "PORT": str(port_or("recommendations server", port, 50051)),
            "METRICS_PORT": str(port_or("recommendations server", None, 9101)),
            "API_KEYS_FILE": str(self._keys),
            "MASTER_KEY_FILE": str(master_key(self._folder)),
            "SCENARIOS": str(scenarios(self._folder)),
        }

    def _registry(self) -> dict[str, str]:
        return {
            "REGISTRY": str(self._folder / REGISTRY),
            "REGISTRY_POLL_MS": str(REGISTRY_POLL_MS),
            "MODEL_CACHE": str(self._folder / MODEL_CACHE),
            "SHOPS": SHOP,
        }

    def events(self) -> dict[str, str]:
        """The events server."""
        return {
            "KAFKA_SERVERS": self._common["KAFKA_SERVERS"],
            "PORT": str(port_or("events server", None, 50053)),
            "METRICS_PORT": str(port_or("events server", None, 9103)),
            "API_KEYS_FILE": str(self._keys),
            "EVENT_AGE_LIMIT_SECONDS": str(EVENT_AGE_LIMIT_SECONDS),
        }

    def archive(self) -> dict[str, str]:
        """The archive."""
        return {
            "KAFKA_SERVERS": self._common["KAFKA_SERVERS"],
            "HEALTH_PORT": str(port_or("archive", None, 50054)),
            "METRICS_PORT": str(port_or("archive", None, 9104)),
            "ROOT": str(self._folder / "archive"),
            "MASTER_KEY_FILE": str(master_key(self._folder)),
            "FLUSH_SECONDS": str(ARCHIVED_WITHIN_SECONDS),
        }

    def attribution(self) -> dict[str, str]:
        """Attribution, which finds experiments in the shop's scenarios."""
        return {
            **self._common,
            "HEALTH_PORT": str(port_or("attribution", None, 50055)),
            "METRICS_PORT": str(port_or("attribution", None, 9105)),
            "EXPERIMENTS": str(scenarios(self._folder)),
            "LOOK_SECONDS": str(LOOK_SECONDS),
        }


def scenarios(folder: Path) -> Path:
    """The folder of the shop's documents; at the first start the example is put there."""
    documents = folder / SCENARIOS
    if not documents.exists():
        documents.mkdir(parents=True)
        shutil.copy(EXAMPLE, documents / f"{SHOP}.yaml")
    return documents


def port_or(name: str, wanted: int | None, usual: int) -> int:
    """``wanted``, else the usual port, else a free one. Raises PortTaken for ``wanted`` only."""
    if wanted is not None:
        return port_for(name, wanted)
    try:
        return port_for(name, usual)
    except PortTaken:
        return port_for(name, None)
