"""The whole stack: Kafka, Redis, the worker and the servers, started in order and stopped."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Final, Protocol

import msgspec

from deploy.local.kafka import EmbeddedKafka
from deploy.local.kept import check_folder, mark
from deploy.local.redis import EmbeddedRedis
from deploy.local.services import (
    ROOT,
    EmbeddedService,
    archive,
    attribution,
    events_server,
    profiles_worker,
    recommendations_server,
)
from deploy.local.state import State, running, stop_recorded, write_state
from deploy.local.supervised import HOST, kept_for_a_server
from deploy.local.told import SHOP, Ports, Told, port_or, scenarios
from deploy.local.topics import create_topics
from services.shared.identity import add_key

FOLDER: Final = ROOT / "build/stack"
SCOPES: Final = ("recommendations.read", "profiles.read", "events.write")


class Addresses(msgspec.Struct, frozen=True):
    """Where everything listens."""

    kafka: str
    redis: str
    grpc: str
    events_grpc: str
    worker_health: str
    server_metrics: str
    worker_metrics: str
    events_metrics: str
    archive_health: str
    archive_metrics: str
    archive_root: str
    scenarios: str
    attribution_health: str
    attribution_metrics: str
    api_key_file: str


class Startable(Protocol):
    """What every server of the stack is."""

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """Its process."""
        ...

    def start(self) -> None:
        """Start it."""
        ...

    def stop(self) -> object:
        """End it within a deadline; nothing to do where it was not started."""
        ...


class Stack:
    """One stack in one folder; :meth:`stop` ends what :meth:`start` started."""

    def __init__(self, folder: Path, ports: Ports, *, has_registry: bool = False) -> None:
        """With ``has_registry`` models come from the folder's registry, else from one bundle."""
        self._folder = folder.absolute()
        self._ports = ports
        self._has_registry = has_registry
        self._servers: list[tuple[str, Startable]] = []

    def start(self, say: Callable[[str], None]) -> Addresses:
        """Return once all services are ready. Raises StackFailed, with all stopped again."""
        check_folder(self._folder)
        stop_recorded(self._folder)
        mark(self._folder)
        try:
            return self._start(say)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End everything, last started first."""
        while self._servers:
            self._servers.pop()[1].stop()
        stop_recorded(self._folder)

    def _start(self, say: Callable[[str], None]) -> Addresses:
        say("Kafka")
        kafka = EmbeddedKafka(
            self._folder / "kafka", port=port_or("Kafka", self._ports.kafka, 19092)
        )
        self._bring_up("Kafka", kafka)
        say("Redis")
        redis = EmbeddedRedis(
            self._folder / "redis", port=port_or("Redis", self._ports.redis, 16379)
        )
        self._bring_up("Redis", redis)
        say("topics")
        asyncio.run(create_topics(kafka.servers))
        say("worker, servers, archive and attribution")
        addresses = self._start_services({"KAFKA_SERVERS": kafka.servers, "REDIS_URL": redis.url})
        self._record(msgspec.structs.asdict(addresses))
        return addresses

    def _start_services(self, common: Mapping[str, str]) -> Addresses:
        """Start our own, and return once all are ready."""
        keys, key_file = self._make_key()
        told = Told(self._folder, common, keys)
        serving = partial(told.server, self._ports.grpc, has_registry=self._has_registry)
        with ExitStack() as kept:
            start = partial(self._start_service, kept)
            worker = start("profiles worker", profiles_worker, told.worker())
            server = start("recommendations server", recommendations_server, serving())
            events = start("events server", events_server, told.events())
            archiving = start("archive", archive, told.archive())
            following = start("attribution", attribution, told.attribution())
            for service in (worker, server, events, archiving, following):
                service.wait_ready()
        return Addresses(
            kafka=common["KAFKA_SERVERS"],
            redis=common["REDIS_URL"],
            grpc=server.address,
            events_grpc=events.address,
            worker_health=worker.address,
            server_metrics=f"{HOST}:{server.metrics_port}",
            worker_metrics=f"{HOST}:{worker.metrics_port}",
            events_metrics=f"{HOST}:{events.metrics_port}",
            archive_health=archiving.address,
            archive_metrics=f"{HOST}:{archiving.metrics_port}",
            archive_root=str(self._folder / "archive"),
            scenarios=str(scenarios(self._folder)),
            attribution_health=following.address,
            attribution_metrics=f"{HOST}:{following.metrics_port}",
            api_key_file=str(key_file),
        )

    def _start_service(
        self,
        kept: ExitStack,
        name: str,
        make: Callable[[Mapping[str, str], Path], EmbeddedService],
        settings: Mapping[str, str],
    ) -> EmbeddedService:
        for port in (int(told) for setting, told in settings.items() if setting.endswith("PORT")):
            kept.enter_context(kept_for_a_server(port))
        service = make(settings, self._folder / f"{name.replace(' ', '-')}.log")
        self._bring_up(name, service)
        return service

    def _make_key(self) -> tuple[Path, Path]:
        """The keys file with a fresh key's hash, and the file with the key itself."""
        keys, key_file = self._folder / "keys.json", self._folder / "api-key"
        keys.unlink(missing_ok=True)
        key_file.unlink(missing_ok=True)
        key_file.touch(mode=0o600)
        key_file.write_text(add_key(keys, shop_id=SHOP, scopes=SCOPES))
        return keys, key_file

    def _bring_up(self, name: str, server: Startable) -> None:
        self._servers.append((name, server))  # first, so that Ctrl-C in its start ends it, too
        server.start()
        self._record({})

    def _record(self, addresses: dict[str, str]) -> None:
        processes = tuple(running(name, server.process.pid) for name, server in self._servers)
        write_state(self._folder, State(processes, addresses))
