"""What the health service says over a process's life."""

from __future__ import annotations

from collections.abc import AsyncIterator

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.shared.health import LIVE, WATCHERS, Health, serve_health
from tests.waiting import eventually_async

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
    health.ready()
    assert await said(client) == STATUS.SERVING
    health.not_ready()
    assert await said(client) == STATUS.NOT_SERVING


async def test_a_process_that_answers_is_alive_ready_or_not(
    served: tuple[Health, health_pb2_grpc.HealthStub],
) -> None:
    """An outage that makes a process unready gives no reason to start it anew."""
    health, client = served
    assert await said(client, LIVE) == STATUS.SERVING
    health.ready()
    health.not_ready()
    assert await said(client, LIVE) == STATUS.SERVING


async def test_a_name_that_is_not_known(
    served: tuple[Health, health_pb2_grpc.HealthStub],
) -> None:
    """NOT_FOUND, as the protocol has it."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await said(served[1], "no-such-service")
    assert caught.value.code() == grpc.StatusCode.NOT_FOUND


async def test_who_watches_is_told_of_each_change(
    served: tuple[Health, health_pb2_grpc.HealthStub],
) -> None:
    """The state at once, then every other one."""
    health, client = served
    watch = client.Watch(health_pb2.HealthCheckRequest(), timeout=10)
    told = [(await watch.read()).status]
    for change in (health.ready, health.not_ready):
        change()
        told.append((await watch.read()).status)
    assert told == [STATUS.NOT_SERVING, STATUS.SERVING, STATUS.NOT_SERVING]
    watch.cancel()


async def test_watchers_are_bounded_and_keep_nobody_from_asking(
    served: tuple[Health, health_pb2_grpc.HealthStub],
) -> None:
    """One more is refused, `Check` answers as ever, and who leaves makes room."""
    _, client = served
    watches = [client.Watch(health_pb2.HealthCheckRequest(), timeout=30) for _ in range(WATCHERS)]
    for watch in watches:
        await watch.read()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await client.Watch(health_pb2.HealthCheckRequest(), timeout=5).read()
    assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert await said(client) == STATUS.NOT_SERVING
    for watch in watches:
        watch.cancel()

    async def again() -> bool:
        try:
            answer = await client.Watch(health_pb2.HealthCheckRequest(), timeout=5).read()
        except grpc.aio.AioRpcError:
            return False
        return bool(answer.status == STATUS.NOT_SERVING)

    await eventually_async(again, within=30)
