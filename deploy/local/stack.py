"""The whole stack: Kafka, Redis, the worker and the servers, started in order and stopped."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Final, Protocol

import msgspec

from deploy.local.kafka import EmbeddedKafka
from deploy.local.redis import EmbeddedRedis
from deploy.local.services import (
    MASTER_KEY,
    ROOT,
    EmbeddedService,
    archive,
    attribution,
    events_server,
    master_key,
    profiles_worker,
    recommendations_server,
)
from deploy.local.state import State, running, stop_recorded, write_state
from deploy.local.supervised import HOST, PortTaken, StackFailed, kept_for_a_server, port_for
from deploy.local.topics import create_topics
from services.shared.identity import add_key

FOLDER: Final = ROOT / "build/stack"
BUNDLE: Final = ROOT / "deploy/local/model"
KEPT: Final = (
    "kafka",
    "redis",
    MASTER_KEY,
    "profiles-worker.log",
    "recommendations-server.log",
    "events-server.log",
    "archive",
    "archive.log",
    "attribution.log",
)
"""What a stack keeps in its folder from one start to the next."""

MARK: Final = ".attune-stack"
"""The file that says that a folder is a stack's."""

SHOP: Final = "demo"
SCOPES: Final = ("recommendations.read", "profiles.read", "events.write")
EVENT_AGE_LIMIT_SECONDS: Final = 366 * 24 * 3600
"""The demo shop's events are up to a year old."""

ARCHIVED_WITHIN_SECONDS: Final = 10
"""On one machine nobody minds small files."""


class Ports(msgspec.Struct, frozen=True):
    """Ports that were asked for; where none was, a usual one is taken, or else a free one."""

    kafka: int | None = None
    redis: int | None = None
    grpc: int | None = None


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

    def __init__(self, folder: Path, ports: Ports) -> None:
        self._folder = folder.absolute()
        self._ports = ports
        self._servers: list[tuple[str, Startable]] = []

    def start(self, say: Callable[[str], None]) -> Addresses:
        """Return once all services are ready. Raises StackFailed, with all stopped again."""
        check_folder(self._folder)
        stop_recorded(self._folder)
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / MARK).write_text("Made by python -m deploy.local, which may remove it.\n")
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
        with ExitStack() as kept:
            start = partial(self._start_service, kept)
            worker = start("profiles worker", profiles_worker, self._worker(common))
            server = start(
                "recommendations server", recommendations_server, self._server(common, keys)
            )
            events = start("events server", events_server, self._events(common, keys))
            archiving = start("archive", archive, self._archive(common))
            following = start("attribution", attribution, self._attribution(common))
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
            attribution_health=following.address,
            attribution_metrics=f"{HOST}:{following.metrics_port}",
            api_key_file=str(key_file),
        )

    def _worker(self, common: Mapping[str, str]) -> dict[str, str]:
        return {
            **common,
            "HEALTH_PORT": str(port_or("profiles worker", None, 50052)),
            "METRICS_PORT": str(port_or("profiles worker", None, 9102)),
            "EVENT_AGE_LIMIT_SECONDS": str(EVENT_AGE_LIMIT_SECONDS),
        }

    def _server(self, common: Mapping[str, str], keys: Path) -> dict[str, str]:
        return {
            **common,
            "PORT": str(port_or("recommendations server", self._ports.grpc, 50051)),
            "METRICS_PORT": str(port_or("recommendations server", None, 9101)),
            "BUNDLE": str(BUNDLE),
            "API_KEYS_FILE": str(keys),
            "MASTER_KEY_FILE": str(master_key(self._folder)),
        }

    def _events(self, common: Mapping[str, str], keys: Path) -> dict[str, str]:
        return {
            "KAFKA_SERVERS": common["KAFKA_SERVERS"],
            "PORT": str(port_or("events server", None, 50053)),
            "METRICS_PORT": str(port_or("events server", None, 9103)),
            "API_KEYS_FILE": str(keys),
            "EVENT_AGE_LIMIT_SECONDS": str(EVENT_AGE_LIMIT_SECONDS),
        }

    def _archive(self, common: Mapping[str, str]) -> dict[str, str]:
        return {
            "KAFKA_SERVERS": common["KAFKA_SERVERS"],
            "HEALTH_PORT": str(port_or("archive", None, 50054)),
            "METRICS_PORT": str(port_or("archive", None, 9104)),
            "ROOT": str(self._folder / "archive"),
            "MASTER_KEY_FILE": str(master_key(self._folder)),
            "FLUSH_SECONDS": str(ARCHIVED_WITHIN_SECONDS),
        }

    def _attribution(self, common: Mapping[str, str]) -> dict[str, str]:
        return {
            **common,
            "HEALTH_PORT": str(port_or("attribution", None, 50055)),
            "METRICS_PORT": str(port_or("attribution", None, 9105)),
        }

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


def check_folder(folder: Path) -> list[Path]:
    """What a stack of ours has kept in ``folder``.

    Raises StackFailed where there is something by such a name that none has put there.
    """
    kept = [folder / name for name in KEPT if (folder / name).exists()]
    if kept and not (folder / MARK).exists():
        raise StackFailed(f"{kept[0]} is not a stack's: name another --folder, or move it away")
    return kept


def forget_data(folder: Path) -> None:
    """Stop a stack of ``folder`` that still runs, and remove what it has kept.

    Raises StackFailed, see :func:`check_folder`.
    """
    stop_recorded(folder)
    for path in check_folder(folder):
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def port_or(name: str, wanted: int | None, usual: int) -> int:
    """``wanted``, else the usual port, else a free one. Raises PortTaken for ``wanted`` only."""
    if wanted is not None:
        return port_for(name, wanted)
    try:
        return port_for(name, usual)
    except PortTaken:
        return port_for(name, None)
