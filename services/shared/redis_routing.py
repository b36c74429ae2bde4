"""Which node of a Redis Cluster has which key, by redis-py's own map of slots.

redis-py finds the nodes, asks them who has which of the 16,384 slots, and keeps the answer;
what is sent where, and what is sent again, is decided in :mod:`services.shared.redis_cluster`.
What this leans on beyond redis-py's documentation: ``nodes_manager`` of its asyncio
``RedisCluster`` with ``initialize``, ``move_slot``, ``get_node_from_slot``,
``get_nodes_by_server_type`` and ``aclose``. ``tests/unit/test_redis_routing.py`` fails when
they change.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from math import inf
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from redis.asyncio.cluster import ClusterNode
from redis.asyncio.cluster import RedisCluster as Client
from redis.crc import key_slot
from redis.exceptions import MovedError, RedisClusterException, RedisError, SlotNotCoveredError

from services.shared.errors import BadSetting, RedisUnavailable
from services.shared.redis_connection import DEADLINE_SECONDS, Command

SCHEMES: Final = {"redis+cluster": "redis", "rediss+cluster": "rediss"}
"""How a cluster's URL begins, and that of one of its nodes."""

PORT: Final = 6379
NODE_SECONDS: Final = 1.0
"""So long a node may take to tell of the cluster; then another one is asked."""

REFRESH_SECONDS: Final = 1.0
"""At most so often the whole map is read anew because slots move one by one."""

_KEYLESS: Final = frozenset(
    {
        *("ASKING", "CLIENT", "CLUSTER", "COMMAND", "CONFIG", "DBSIZE", "ECHO", "FLUSHALL"),
        *("FLUSHDB", "INFO", "KEYS", "PING", "RANDOMKEY", "ROLE", "SCAN", "SELECT", "TIME"),
        *("WAIT", "WAITAOF"),
    }
)
"""What concerns one server and not a key; who means a certain one asks that one."""

_FAILURES: Final = (RedisError, RedisClusterException, OSError)


class ClusterUrl(NamedTuple):
    """A cluster's URL in its parts."""

    scheme: str
    """Of one node's URL."""
    login: str
    """With its @; "" for none."""
    addresses: tuple[tuple[str, int], ...]
    rest: str
    """What follows the addresses."""

    def of(self, node: str) -> str:
        """The URL of one node, which is named ``host:port``."""
        host, _, port = node.rpartition(":")
        return (
            f"{self.scheme}://{self.login}{f'[{host}]' if ':' in host else host}:{port}{self.rest}"
        )


def is_cluster(url: str) -> bool:
    """Whether a URL is that of a cluster. Raises BadSetting for several addresses of none."""
    parts = urlsplit(url)
    if parts.scheme in SCHEMES:
        return True
    if "," in parts.netloc.rpartition("@")[2]:
        raise BadSetting(
            "the URL of Redis names several addresses and so a cluster: it must begin with "
            "redis+cluster:// or rediss+cluster://"
        )
    return False


def cluster_url(url: str) -> ClusterUrl:
    """Take a cluster's URL apart: ``redis+cluster://[[user]:password@]host[:port][,host…]``.

    Raises BadSetting; it does not repeat the URL, as that may hold a password.
    """
    parts = urlsplit(url)
    login, at, addresses = parts.netloc.rpartition("@")
    try:
        hosts = [urlsplit(f"redis://{each}") for each in addresses.split(",")]
        found = tuple((host.hostname or "", host.port or PORT) for host in hosts)
    except ValueError as error:
        raise BadSetting("the URL of Redis Cluster has an address that cannot be read") from error
    if not all(host for host, _ in found):
        raise BadSetting("the URL of Redis Cluster has an empty address")
    if parts.path.strip("/0"):
        raise BadSetting("Redis Cluster has no database but 0; its URL must not name another one")
    rest = f"?{parts.query}" if parts.query else ""
    return ClusterUrl(SCHEMES[parts.scheme], login + at, found, rest)


def keys_of(command: Command) -> tuple[bytes, ...]:
    """The keys of a command; none for SCRIPT, which every node must be told.

    Raises ValueError for what only makes sense when a certain server is asked.
    """
    name = command[0] if isinstance(command[0], str) else _bytes(command[0]).decode()
    return _KEYS.get(name.upper(), _first)(command)


def slot_of(key: bytes) -> int:
    """The slot of a key, by its hash tag."""
    return key_slot(key)


def _bytes(part: str | bytes | int) -> bytes:
    return part if isinstance(part, bytes) else str(part).encode()


def _first(command: Command) -> tuple[bytes, ...]:
    if len(command) < 2:
        return _none(command)
    return (command[1],) if isinstance(command[1], bytes) else (_bytes(command[1]),)


def _all(command: Command) -> tuple[bytes, ...]:
    return tuple(map(_bytes, command[1:]))


def _counted(command: Command) -> tuple[bytes, ...]:
    return tuple(map(_bytes, command[3 : 3 + int(command[2])]))


def _none(command: Command) -> tuple[bytes, ...]:
    raise ValueError(f"{command[0]!r} has no key: in a cluster, ask one of its nodes")


_KEYS: Final[Mapping[str, Callable[[Command], tuple[bytes, ...]]]] = {
    **dict.fromkeys(("DEL", "EXISTS", "MGET", "TOUCH", "UNLINK"), _all),
    **dict.fromkeys(("EVAL", "EVALSHA"), _counted),
    **dict.fromkeys(_KEYLESS, _none),
    "SCRIPT": lambda _: (),
}
"""Where the keys are, of those commands that have another number of them than one."""


class SlotMap:
    """Who has which slot. One map serves all connections to a cluster.

    It is read when first needed; then again where a node was gone or answered that a slot has
    moved, once for all who have met that.
    """

    def __init__(self, url: str) -> None:
        """See :func:`cluster_url`. Raises BadSetting for a URL that cannot be read."""
        self.url = cluster_url(url)
        self._client = self._connect()
        self._loaded = False
        self._reading: asyncio.Task[None] | None = None
        self._read_at = -inf

    def primary_of(self, slot: int) -> str | None:
        """The node that has a slot, as ``host:port``; None where none is known to."""
        try:
            return str(self._nodes.get_node_from_slot(slot).name)
        except (KeyError, SlotNotCoveredError):
            return None

    @property
    def primaries(self) -> list[str]:
        """All nodes that have slots, as ``host:port``, in order."""
        return sorted(str(node.name) for node in self._nodes.get_nodes_by_server_type("primary"))

    async def load(self, *, older_than: float = inf) -> None:
        """Read the map, if that was not done or so many seconds ago; as :meth:`refresh`."""
        now = asyncio.get_running_loop().time()
        if not self._loaded or now - self._read_at > older_than:
            await self.refresh()

    async def refresh(self, *, gone: str | None = None) -> None:
        """Read the map anew, from other nodes than ``gone`` if there are any.

        Raises RedisUnavailable if no node answers, and BadSetting where it is no cluster.
        """
        await asyncio.shield(self._begin(gone))

    def suspect(self) -> None:
        """Have the map read anew soon: a node has not answered in the time that there was."""
        if asyncio.get_running_loop().time() - self._read_at > REFRESH_SECONDS:
            self._begin(None)

    async def moved(self, redirections: Sequence[str]) -> None:
        """Note what nodes have answered: ``<slot> <host>:<port>``, which overrules the map.

        Where slots move one by one it is cheaper to note each than to read the whole map.
        """
        with contextlib.suppress(RedisUnavailable):  # the answers are enough to go on
            await self.load(older_than=REFRESH_SECONDS)
        for each in redirections:
            try:
                await self._nodes.move_slot(MovedError(each))
            except KeyError:  # of a slot that nobody had
                self._read_at = -inf

    async def close(self) -> None:
        """Stop reading. The map stays."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait([self._reading])

    @property
    def _nodes(self) -> Any:
        return self._client.nodes_manager

    def _begin(self, gone: str | None) -> asyncio.Task[None]:
        """The reading that is under way, or a new one."""
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read(gone))
            self._reading.add_done_callback(_seen)
        return self._reading

    async def _read(self, gone: str | None) -> None:
        """Ask the nodes that are known, then those of the URL, whose names may lead elsewhere."""
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                try:
                    await _read(self._client, gone)
                except _FAILURES:
                    if not self._loaded:
                        raise
                    anew = self._connect()
                    await _read(anew, None)
                    self._client = anew
        except (*_FAILURES, TimeoutError) as error:
            if isinstance(error.__cause__, RedisClusterException):
                raise BadSetting(
                    "Redis is no cluster; its URL must begin with redis:// or rediss://"
                ) from error
            raise RedisUnavailable(f"Redis Cluster: {str(error) or 'no node answers'}") from error
        self._loaded = True
        self._read_at = asyncio.get_running_loop().time()

    def _connect(self) -> Client:
        first, *others = self.url.addresses
        try:
            return Client.from_url(
                self.url.of(f"{first[0]}:{first[1]}"),
                startup_nodes=[ClusterNode(host, port) for host, port in others],
                require_full_coverage=False,
                socket_connect_timeout=NODE_SECONDS,
                socket_timeout=NODE_SECONDS,
            )
        except (*_FAILURES, ValueError, TypeError) as error:
            raise BadSetting(f"the URL of Redis Cluster cannot be read: {error}") from error


async def _read(client: Client, gone: str | None) -> None:
    """Have redis-py read its map, and keep no connection for it."""
    try:
        await client.nodes_manager.initialize(last_failed_node_name=gone)
    finally:
        await client.nodes_manager.aclose()
        await client.nodes_manager.aclose("startup_nodes")


def _seen(task: asyncio.Task[None]) -> None:
    """Look at a failure, which whoever needs the map meets by itself."""
    if not task.cancelled():
        task.exception()
