"""Our own services as child processes: started with settings, waited for, stopped."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from deploy.local.metrics import metric
from deploy.local.supervised import HOST, Supervised, port_for
from services.shared.sealing import new_master_key

ROOT: Final = Path(__file__).parents[2]
MASTER_KEY: Final = "master-key"
"""The file, beside the logs."""


class EmbeddedService:
    """``python -m MODULE`` with its settings; the health and metrics ports are free ones."""

    def __init__(
        self, module: str, *, prefix: str, port_setting: str, settings: Mapping[str, str], log: Path
    ) -> None:
        """``settings`` lack the prefix, such as ``{"REDIS_URL": …}``; ports in it are kept."""
        self.port = int(settings.get(port_setting, 0)) or port_for(module, None)
        self.metrics_port = int(settings.get("METRICS_PORT", 0)) or port_for(module, None)
        told = {**settings, port_setting: str(self.port), "METRICS_PORT": str(self.metrics_port)}
        env = {name: value for name, value in os.environ.items() if not name.startswith("ATTUNE_")}
        env |= {prefix + name: value for name, value in told.items()}
        env["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(ROOT / "build/gen")])
        self._server = Supervised(module, [sys.executable, "-m", module], log, env)

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The service's process."""
        return self._server.process

    @property
    def log_path(self) -> Path:
        """Where its output goes."""
        return self._server.log

    @property
    def address(self) -> str:
        """Where it answers gRPC."""
        return f"{HOST}:{self.port}"

    def metric(self, start: str) -> float:
        """The sum of its metrics whose lines start so; see :func:`deploy.local.metrics.metric`."""
        return metric(f"{HOST}:{self.metrics_port}", start)

    def start(self) -> None:
        """Start it, without waiting."""
        self._server.start()

    def wait_ready(self, *, within: float = 60.0) -> None:
        """Return once its gRPC health says SERVING. Raises ProcessDied."""
        self._server.wait_until(lambda: is_serving(self.address), within=within)

    def stop(self, *, within: float = 30.0) -> int:
        """Ask it to drain and end (SIGTERM); answers its exit status."""
        return self._server.stop(within=within)

    def kill(self) -> None:
        """End it at once, as a crash would."""
        self._server.kill()


def master_key(folder: Path) -> Path:
    """The file with the folder's master key, which is made the first time."""
    file = folder / MASTER_KEY
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        new_master_key(file)
    return file


def profiles_worker(settings: Mapping[str, str], log: Path) -> EmbeddedService:
    """The worker that folds events into profiles; its master key lies beside its log."""
    return EmbeddedService(
        "services.profiles",
        prefix="ATTUNE_PROFILES_",
        port_setting="HEALTH_PORT",
        settings={"MASTER_KEY_FILE": str(master_key(log.parent)), **settings},
        log=log,
    )


def recommendations_server(settings: Mapping[str, str], log: Path) -> EmbeddedService:
    """The server that answers what to show."""
    return EmbeddedService(
        "services.recommendations",
        prefix="ATTUNE_RECOMMENDATIONS_",
        port_setting="PORT",
        settings=settings,
        log=log,
    )


def events_server(settings: Mapping[str, str], log: Path) -> EmbeddedService:
    """The server that takes events from producers without a Kafka client."""
    return EmbeddedService(
        "services.events",
        prefix="ATTUNE_EVENTS_",
        port_setting="PORT",
        settings=settings,
        log=log,
    )


def archive(settings: Mapping[str, str], log: Path) -> EmbeddedService:
    """What keeps events as Parquet."""
    return EmbeddedService(
        "services.archive",
        prefix="ATTUNE_ARCHIVE_",
        port_setting="HEALTH_PORT",
        settings=settings,
        log=log,
    )


def attribution(settings: Mapping[str, str], log: Path) -> EmbeddedService:
    """What joins the lists that were shown with what shoppers did."""
    return EmbeddedService(
        "services.attribution",
        prefix="ATTUNE_ATTRIBUTION_",
        port_setting="HEALTH_PORT",
        settings={"MASTER_KEY_FILE": str(master_key(log.parent)), **settings},
        log=log,
    )


def is_serving(address: str) -> bool:
    """Whether standard gRPC health at ``address`` says SERVING."""
    with grpc.insecure_channel(address) as channel:
        try:
            answer = health_pb2_grpc.HealthStub(channel).Check(
                health_pb2.HealthCheckRequest(), timeout=2.0
            )
        except grpc.RpcError:
            return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)
