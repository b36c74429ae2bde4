"""The standard gRPC health service (``grpc.health.v1``) of one process.

The empty name ``""`` is the whole process; it is NOT_SERVING until :meth:`Health.ready` and
again from :meth:`Health.not_ready` on, so an orchestrator sends work to ready processes only.
The name ``"live"`` is SERVING unless the process hangs, ready or not: what to ask before starting
a process anew, as an outage of Kafka or Redis is not helped by that.

The library's own servicer calls a process ready from its first moment, takes any number of
watchers, and lets one that does not read hold up every change; hence ours.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.shared.errors import BadSetting

LIVE: Final = "live"

WATCHERS: Final = 64
"""Streams of ``Watch`` at once. They never end by themselves and need no key."""

_STATUS: Final = health_pb2.HealthCheckResponse.ServingStatus


class _Servicer(health_pb2_grpc.HealthServicer):  # type: ignore[misc]  # the library is not typed
    """Answers the health protocol from a dict of states."""

    def __init__(self) -> None:
        self._states = {"": _STATUS.NOT_SERVING, LIVE: _STATUS.SERVING}
        self._changed = asyncio.Event()
        self._watchers = 0

    def set(self, name: str, status: int) -> None:
        """Change a state, and tell those who watch."""
        self._states[name] = status
        self._changed.set()
        self._changed = asyncio.Event()

    async def Check(  # noqa: N802 - the protocol's name
        self, request: Any, context: grpc.aio.ServicerContext[Any, Any]
    ) -> Any:
        """The state now; NOT_FOUND for a name that is not known."""
        status = self._states.get(request.service)
        if status is None:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"no service {request.service!r} here")
        return health_pb2.HealthCheckResponse(status=status)

    async def Watch(  # noqa: N802 - the protocol's name
        self, request: Any, context: grpc.aio.ServicerContext[Any, Any]
    ) -> None:
        """The state now and after each change; RESOURCE_EXHAUSTED beyond :data:`WATCHERS`."""
        if self._watchers >= WATCHERS:
            await context.abort(
                grpc.StatusCode.RESOURCE_EXHAUSTED, f"{WATCHERS} watch already; ask Check instead"
            )
        self._watchers += 1
        try:
            await self._tell(request.service, context)
        finally:
            self._watchers -= 1

    async def _tell(self, name: str, context: grpc.aio.ServicerContext[Any, Any]) -> None:
        told = None
        while True:
            changed = self._changed  # before the look: what changes during the write counts
            status = self._states.get(name, _STATUS.SERVICE_UNKNOWN)
            if status != told:
                await context.write(health_pb2.HealthCheckResponse(status=status))
                told = status
            await changed.wait()


class Health:
    """Says whether a process is ready; add it to a server with :meth:`add_to`."""

    def __init__(self) -> None:
        self._servicer = _Servicer()
        self._ready = False
        self._live = True

    def add_to(self, server: grpc.aio.Server) -> None:
        """Answer ``grpc.health.v1.Health`` on ``server``."""
        health_pb2_grpc.add_HealthServicer_to_server(self._servicer, server)

    @property
    def is_ready(self) -> bool:
        """Whether the process was last said to be ready."""
        return self._ready

    @property
    def is_live(self) -> bool:
        """Whether the process was last said to be live."""
        return self._live

    def live(self, so: bool) -> None:
        """Whether the process could work; one that hangs could not, and is to be started anew."""
        if so != self._live:
            self._live = so
            self._servicer.set(LIVE, _STATUS.SERVING if so else _STATUS.NOT_SERVING)

    def ready(self) -> None:
        """From now on the process takes work."""
        self._set(ready=True)

    def not_ready(self) -> None:
        """From now on it does not: still starting, cut off, or shutting down."""
        self._set(ready=False)

    def _set(self, *, ready: bool) -> None:
        self._ready = ready
        self._servicer.set("", _STATUS.SERVING if ready else _STATUS.NOT_SERVING)


async def serve_health(health: Health, *, host: str, port: int) -> tuple[grpc.aio.Server, int]:
    """Start a server that answers health only; for processes without other gRPC methods.

    Returns the server and its port (a free one for ``port`` 0). Raises BadSetting if the
    port is taken.
    """
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    health.add_to(server)
    bound = listen(server, host, port)
    await server.start()
    return server, bound


def listen(server: grpc.aio.Server, host: str, port: int) -> int:
    """Have ``server`` listen; answers the port. Raises BadSetting if it is taken.

    The server must be made with ``grpc.so_reuseport`` 0, else a second one would start on a
    taken port and share its calls.
    """
    try:
        return int(server.add_insecure_port(f"{host}:{port}"))
    except RuntimeError as error:
        raise BadSetting(f"cannot listen on {host}:{port}; is the port taken?") from error
