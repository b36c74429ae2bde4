"""Apache Kafka as a child process: one KRaft broker, its data in a folder."""

from __future__ import annotations

import base64
import subprocess
import uuid
from pathlib import Path

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
        if not (self._folder / "logs" / "meta.properties").exists():
            self._format(settings)
        self._server = Supervised(
            "Kafka", [*self._java(), "kafka.Kafka", str(settings)], self._folder / "kafka.log"
        )
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

    def _java(self) -> list[str]:
        return [
            java(),
            f"-Xmx{self._heap}",
            "-Xms128m",
            "-XX:+UseSerialGC",
            "-XX:MaxDirectMemorySize=128m",
            "-XX:+ExitOnOutOfMemoryError",
            "-XX:-UsePerfData",
            f"-Djava.io.tmpdir={self._folder}",
            "-Djava.awt.headless=true",
            "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
            "-Dorg.slf4j.simpleLogger.showDateTime=true",
            "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSS",
            "-cp",
            class_path(),
        ]

    def _write_settings(self, port: int) -> Path:
        settings = self._folder / "server.properties"
        settings.parent.mkdir(parents=True, exist_ok=True)
        settings.write_text(
            PROPERTIES.format(
                host=self._host,
                port=port,
                controller_port=port_for("Kafka's controller", None, self._host),
                logs=self._folder / "logs",
            )
        )
        return settings

    def _format(self, settings: Path) -> None:
        cluster = cluster_id(uuid.uuid4())
        tool = ["kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(settings)]
        result = subprocess.run(  # noqa: S603 - the command is ours
            [*self._java(), *tool], capture_output=True, text=True, timeout=60, check=False
        )
        if result.returncode != 0:
            raise StackFailed(f"Kafka's storage cannot be formatted: {result.stderr.strip()}")


def cluster_id(number: uuid.UUID) -> str:
    """A UUID as Kafka writes it, in 22 characters; none begins with ``-``, as an option would."""
    text = base64.urlsafe_b64encode(number.bytes).decode().rstrip("=")
    return "_" + text[1:] if text.startswith("-") else text
