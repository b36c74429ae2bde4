"""A Redis Cluster of real servers on one machine: primaries, each with one replica, for tests."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from deploy.local.redis import EmbeddedRedis
from deploy.local.supervised import HOST, PAUSE, StackFailed

SLOTS: Final = 16_384


class EmbeddedRedisCluster:
    """Servers with slots, then as many that follow them, in the same order."""

    def __init__(self, folder: Path, *, primaries: int = 3, node_timeout_ms: int = 5_000) -> None:
        """After ``node_timeout_ms`` without a word of a primary its replica takes over."""
        self._primaries = primaries
        self._folder = folder
        self._node_timeout_ms = node_timeout_ms
        ports = _free_ports(4 * primaries)
        self._buses = ports[2 * primaries :]
        self.servers = [
            self._server(port, bus) for port, bus in zip(ports, self._buses, strict=False)
        ]

    @property
    def url(self) -> str:
        """What clients connect to: all addresses."""
        return "redis+cluster://" + ",".join(f"{HOST}:{server.port}" for server in self.servers)

    def start(self, *, within: float = 60.0) -> None:
        """Return once every primary has its slots and its replica. Raises StackFailed."""
        deadline = time.monotonic() + within
        try:
            for server in self.servers:
                server.start()
            self._meet()
            _until(lambda: all(map(self._knows_all, self.servers)), deadline)
            self._follow()
            _until(lambda: all(map(_is_whole, self.servers)), deadline)
        except BaseException:  # also Ctrl-C: what nobody waits for any more must not stay
            self.kill()
            raise

    def join(self, *, within: float = 30.0) -> str:
        """Start one more server, which has no slots; ``host:port`` once all know it."""
        port, bus = _free_ports(2)
        server = self._server(port, bus)
        server.start()
        self.servers.append(server)
        _tell(server, f"CLUSTER MEET {HOST} {self.servers[0].port} {self._buses[0]}")
        _until(lambda: all(map(self._knows_all, self.servers)), time.monotonic() + within)
        return f"{HOST}:{port}"

    def kill(self) -> None:
        """End all at once."""
        for server in self.servers:
            server.kill()

    def _server(self, port: int, bus: int) -> EmbeddedRedis:
        settings = _settings(self._node_timeout_ms, bus)
        return EmbeddedRedis(self._folder / str(port), port=port, settings=settings)

    def _meet(self) -> None:
        """Give the primaries equal parts of the slots, and make all known to the first."""
        bounds = [number * SLOTS // self._primaries for number in range(self._primaries + 1)]
        for number in range(self._primaries):
            server = self.servers[number]
            _tell(server, f"CLUSTER ADDSLOTSRANGE {bounds[number]} {bounds[number + 1] - 1}")
            # With one epoch for all they would first have to settle whose word counts.
            _tell(server, f"CLUSTER SET-CONFIG-EPOCH {number + 1}")
        for server in self.servers[1:]:
            _tell(server, f"CLUSTER MEET {HOST} {self.servers[0].port} {self._buses[0]}")

    def _knows_all(self, server: EmbeddedRedis) -> bool:
        """Whether it knows all by their names; one that it has only heard of has no slots yet."""
        told = _tell(server, "CLUSTER NODES")
        return told.count(" connected") == len(self.servers) and "handshake" not in told

    def _follow(self) -> None:
        names = [_tell(server, "CLUSTER MYID") for server in self.servers]
        for name, replica in zip(names, self.servers[self._primaries :], strict=False):
            _tell(replica, f"CLUSTER REPLICATE {name}")


def _settings(node_timeout_ms: int, bus: int) -> dict[str, str]:
    return {
        "cluster-enabled": "yes",
        "cluster-port": str(bus),
        "cluster-node-timeout": str(node_timeout_ms),
        # A primary that is gone takes its own slots with it, and no others.
        "cluster-require-full-coverage": "no",
        # A replica takes over however long it was without its primary.
        "cluster-replica-validity-factor": "0",
        "cluster-allow-replica-migration": "no",
        "repl-diskless-sync-delay": "0",
    }


def _is_whole(server: EmbeddedRedis) -> bool:
    """Whether it serves, and is linked to its other half."""
    told = _tell(server, "INFO replication")
    is_linked = "state=online" in told or "master_link_status:up" in told
    return is_linked and "cluster_state:ok" in _tell(server, "CLUSTER INFO")


def _until(ready: Callable[[], bool], deadline: float) -> None:
    while not ready():
        if time.monotonic() > deadline:
            raise StackFailed("the servers of the Redis Cluster did not find together in time")
        time.sleep(PAUSE)


def _tell(server: EmbeddedRedis, command: str) -> str:
    """What a server answers to one command. Raises StackFailed for an error."""
    with socket.create_connection((HOST, server.port), timeout=5.0) as connection:
        connection.sendall(command.encode() + b"\r\n")
        stream = connection.makefile("rb")
        first = stream.readline().decode().strip()
        if first.startswith("-"):
            raise StackFailed(f"Redis: {command}: {first}")
        return stream.read(int(first[1:])).decode() if first.startswith("$") else first[1:]


def _free_ports(count: int) -> list[int]:
    """Ports that nobody listens on, no two the same."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind((HOST, 0))
        return [int(each.getsockname()[1]) for each in sockets]
