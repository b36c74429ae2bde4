"""The standard gRPC health service (``grpc.health.v1``) of one process.

The empty name ``""`` is the whole process; it is NOT_SERVING until :meth:`Health.ready` and
again from :meth:`Health.not_ready` on, so an orchestrator sends work to ready processes only.
The name ``"live"`` is SERVING as long as the process answers at all, ready or not: what to ask
before starting a process anew, as an outage of Kafka or Redis is not helped by that.
"""

from __future__ import annotations

from typing import Final

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer

from services.shared.errors import BadSetting

LIVE: Final = "live"

_STATUS: Final = health_pb2.HealthCheckResponse.ServingStatus


class _Servicer(HealthServicer):  # type: ignore[misc]  # the library is not typed
    """The library's own calls a process ready from its first moment; here nobody has said so."""

    def __init__(self) -> None:
        super().__init__()
        self._server_status = {"": _STATUS.NOT_SERVING, LIVE: _STATUS.SERVING}


class Health:
    """Says whether a process is ready; add it to a server with :meth:`add_to`."""

    def __init__(self) -> None:
        self._servicer = _Servicer()
        self._ready = False

    def add_to(self, server: grpc.aio.Server) -> None:
        """Answer ``grpc.health.v1.Health`` on ``server``."""
        health_pb2_grpc.add_HealthServicer_to_server(self._servicer, server)

    @property
    def is_ready(self) -> bool:
        """Whether the process was last said to be ready."""
        return self._ready

    async def ready(self) -> None:
        """From now on the process takes work."""
        await self._set(ready=True)

    async def not_ready(self) -> None:
        """From now on it does not: still starting, cut off, or shutting down."""
        await self._set(ready=False)

    async def _set(self, *, ready: bool) -> None:
        self._ready = ready
        await self._servicer.set("", _STATUS.SERVING if ready else _STATUS.NOT_SERVING)


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
