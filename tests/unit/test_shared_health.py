"""What the health service says over a process's life."""

from __future__ import annotations

from collections.abc import AsyncIterator

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.shared.health import LIVE, Health, serve_health

STATUS = health_pb2.HealthCheckResponse.ServingStatus


@pytest.fixture
async def served() -> AsyncIterator[tuple[Health, health_pb2_grpc.HealthStub]]:
    """A new process's health, and a client of it."""
    health = Health()
    server, port = await serve_health(health, host="127.0.0.1", port=0)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield health, health_pb2_grpc.HealthStub(channel)
    await server.stop(grace=None)


async def said(client: health_pb2_grpc.HealthStub, name: str = "") -> int:
    request = health_pb2.HealthCheckRequest(service=name)
    return (await client.Check(request, timeout=5)).status  # type: ignore[no-any-return]  # the library is not typed


async def test_a_process_is_not_ready_until_it_says_so(
    served: tuple[Health, health_pb2_grpc.HealthStub],
) -> None:
    """Nobody is sent to a process that has not said it is ready, or has said it no longer is."""
    health, client = served
    assert await said(client) == STATUS.NOT_SERVING
    await health.ready()
    assert await said(client) == STATUS.SERVING
    await health.not_ready()
    assert await said(client) == STATUS.NOT_SERVING


async def test_a_process_that_answers_is_alive_ready_or_not(
    served: tuple[Health, health_pb2_grpc.HealthStub],
) -> None:
    """An outage that makes a process unready gives no reason to start it anew."""
    health, client = served
    assert await said(client, LIVE) == STATUS.SERVING
    await health.ready()
    await health.not_ready()
    assert await said(client, LIVE) == STATUS.SERVING
