"""Apache Kafka as a child process: one KRaft broker, its data in a folder."""

from __future__ import annotations

import base64
import functools
import re
import subprocess
import tempfile
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from deploy.local.java import class_path, java
from deploy.local.supervised import HOST, StackFailed, Supervised, listens, port_for

PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{controller_port}
listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller_port}
advertised.listeners=PLAINTEXT://{host}:{port}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={logs}
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
# A member of a group may ask to be missed sooner than after 6 s.
group.min.session.timeout.ms=1000
# After a crash the controller waits this long before it lets the broker in again.
broker.session.timeout.ms=4000
broker.heartbeat.interval.ms=1000
# One broker has no replica to fall back on: what it acknowledged is on disk a second later.
log.flush.interval.ms=1000
log.flush.scheduler.interval.ms=1000
# Keys that Kafka replaces wait no longer than this for it.
log.cleaner.backoff.ms=5000
log.cleaner.dedupe.buffer.size=16777216
num.network.threads=2
num.io.threads=4
"""

# What Kafka's tool writes last when it formats a folder; a folder with it is formatted.
_META: Final = "meta.properties"
_IDS: Final = re.compile(rb"(?m)^((?:cluster|directory)\.id=).*$")


class EmbeddedKafka:
    """One broker; :meth:`start` after :meth:`stop` or :meth:`kill` keeps port and data."""

    def __init__(
        self, folder: Path, *, port: int | None = None, heap: str = "384m", host: str = HOST
    ) -> None:
        """``folder`` holds data, settings and log; a free port is taken for None."""
        self._host = host
        self._folder = folder.absolute()
        self._wanted = port
        self._heap = heap
        self._server: Supervised | None = None

    @property
    def servers(self) -> str:
        """What clients connect to."""
        return f"{self._host}:{self._wanted}"

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The broker's process."""
        if self._server is None:
            raise StackFailed("Kafka was not started")
        return self._server.process

    def start(self, *, within: float = 60.0) -> None:
        """Return once it takes connections. Raises PortTaken or ProcessDied."""
        port = self._wanted = port_for("Kafka", self._wanted, self._host)
        settings = self._write_settings(port)
        if not (self._folder / "logs" / _META).exists():
            _format(self._folder / "logs")
        command = [*_java(self._folder, self._heap), "kafka.Kafka", str(settings)]
        self._server = Supervised("Kafka", command, self._folder / "kafka.log")
        try:
            self._server.start()
            self._server.wait_until(lambda: listens(port, self._host), within=within)
        except BaseException:  # also Ctrl-C: what nobody waits for any more must not stay
            self._server.kill()
            raise

    def stop(self, *, within: float = 20.0) -> None:
        """Let it close its files and end; after ``within`` seconds it is killed."""
        if self._server:
            self._server.stop(within=within)

    def kill(self) -> None:
        """End it at once, as a crash would."""
        if self._server:
            self._server.kill()

    def _write_settings(self, port: int) -> Path:
        controller = port_for("Kafka's controller", None, self._host)
        return _write_settings(self._folder, self._host, port, controller)


def _java(folder: Path, heap: str) -> list[str]:
    return [
        java(),
        f"-Xmx{heap}",
        "-Xms128m",
        "-XX:+UseSerialGC",
        "-XX:MaxDirectMemorySize=128m",
        "-XX:+ExitOnOutOfMemoryError",
        "-XX:-UsePerfData",
        f"-Djava.io.tmpdir={folder}",
        "-Djava.awt.headless=true",
        "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
        "-Dorg.slf4j.simpleLogger.showDateTime=true",
        "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSS",
        "-cp",
        class_path(),
    ]


def _write_settings(folder: Path, host: str, port: int, controller_port: int) -> Path:
    settings = folder / "server.properties"
    folder.mkdir(parents=True, exist_ok=True)
    logs = folder / "logs"
    settings.write_text(
        PROPERTIES.format(host=host, port=port, controller_port=controller_port, logs=logs)
    )
    return settings


def _format(logs: Path) -> None:
    """Make ``logs`` a broker's folder, with a cluster's and a folder's id of its own."""
    logs.mkdir(parents=True, exist_ok=True)
    for name, content in _formatted().items():
        own = _IDS.sub(lambda line: line[1] + cluster_id(uuid.uuid4()).encode(), content)
        (logs / name).write_bytes(own if name == _META else content)


@functools.cache
def _formatted() -> Mapping[str, bytes]:
    """What Kafka's tool writes into a broker's folder, by name, ``meta.properties`` last.

    Had once in a process: the tool takes a second of the processor, nearly as much as a start.
    """
    with tempfile.TemporaryDirectory(prefix="kafka-format-") as made:
        folder = Path(made)
        settings = _write_settings(folder, HOST, 9092, 9093)  # of which the tool opens none
        tool = ["kafka.tools.StorageTool", "format", "-t", cluster_id(uuid.uuid4()), "-c"]
        result = subprocess.run(  # noqa: S603 - the command is ours
            [*_java(folder, "128m"), *tool, str(settings)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if result.returncode != 0:
            raise StackFailed(f"Kafka's storage cannot be formatted: {result.stderr.strip()}")
        written = sorted((folder / "logs").iterdir(), key=lambda path: path.name == _META)
        return {path.name: path.read_bytes() for path in written}


def cluster_id(number: uuid.UUID) -> str:
    """A UUID as Kafka writes it, in 22 characters; none begins with ``-``, as an option would."""
    text = base64.urlsafe_b64encode(number.bytes).decode().rstrip("=")
    return "_" + text[1:] if text.startswith("-") else text
