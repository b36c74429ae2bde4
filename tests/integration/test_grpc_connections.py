"""The shared server and connections: how they end, what keeps them, when to try again."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from attune.profiles.v1 import profile_service_pb2 as pb
from attune.profiles.v1 import profile_service_pb2_grpc

from services.shared import grpc_errors, grpc_server
from services.shared.errors import CatalogLoading
from services.shared.grpc_server import Call, Service, start_server
from services.shared.health import Health
from services.shared.identity import ApiKeys, new_key
from tests.name_server import NameServer
from tests.waiting import eventually_async

KEY, KNOWN = new_key(shop_id="demo", scopes=["profiles.read"], key_id="reader")
SERVICE = pb.DESCRIPTOR.services_by_name["ProfileService"]
ANA = pb.GetProfileRequest(user_id="ana")
TOLD: dict[str, Any] = {"metadata": (("authorization", f"Bearer {KEY}"),), "timeout": 20}
BALANCED = (
    ("grpc.service_config", json.dumps({"loadBalancingConfig": [{"round_robin": {}}]})),
    ("grpc.dns_min_time_between_resolutions_ms", 50),
)


class Counted:
    """A method that counts its calls, and holds them while it is told to."""

    def __init__(self) -> None:
        self.calls = 0
        self.go_on = asyncio.Event()
        self.go_on.set()

    async def __call__(self, request: Any, call: Call) -> pb.GetProfileResponse:
        self.calls += 1
        await self.go_on.wait()
        return pb.GetProfileResponse()


@asynccontextmanager
async def serving(
    method: Callable[..., Any], host: str = "127.0.0.1", port: int = 0
) -> AsyncIterator[int]:
    """A server with one method; answers its port."""
    services = [Service(SERVICE, {"GetProfile": method})]
    server, bound = await start_server(
        services, keys=ApiKeys([KNOWN]), health=Health(), host=host, port=port
    )
    yield bound
    await server.stop(None)


async def test_a_connected_client_finds_a_new_server_and_no_call_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A connection that has grown old is ended in order, under load; its name is asked for anew."""
    monkeypatch.setattr(grpc_server, "CONNECTION_AGE_MS", 200)
    old, new = Counted(), Counted()
    with NameServer("servers.test", "127.0.0.1") as names:
        async with (
            serving(old) as port,
            serving(new, "127.0.0.2", port),
            grpc.aio.insecure_channel(names.target(port), options=BALANCED) as channel,
        ):
            profiles = profile_service_pb2_grpc.ProfileServiceStub(channel)
            await profiles.GetProfile(ANA, **TOLD)
            names.addresses = ("127.0.0.1", "127.0.0.2")

            async def caller() -> None:
                while new.calls < 200:
                    await profiles.GetProfile(ANA, **TOLD)

            async with asyncio.timeout(60):
                await asyncio.gather(*(caller() for _ in range(8)))
    assert old.calls > 0


async def test_a_call_in_progress_outlives_the_age_of_its_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What runs when the connection ends may come to its own end."""
    monkeypatch.setattr(grpc_server, "CONNECTION_AGE_MS", 200)
    method = Counted()
    method.go_on.clear()
    async with (
        serving(method) as port,
        grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        held = profile_service_pb2_grpc.ProfileServiceStub(channel).GetProfile(ANA, **TOLD)

        async def is_called() -> bool:
            return method.calls == 1

        async def is_ended() -> bool:
            return channel.get_state() is not grpc.ChannelConnectivity.READY

        await eventually_async(is_called, within=20)
        await eventually_async(is_ended, within=20)
        method.go_on.set()
        assert await held == pb.GetProfileResponse()


SETTINGS, PING, GOAWAY = 4, 6, 7


def frame(kind: int, payload: bytes) -> bytes:
    """An HTTP/2 frame of the connection itself (RFC 9113, 4.1)."""
    return len(payload).to_bytes(3, "big") + bytes([kind, 0]) + bytes(4) + payload


def answers_to_pings(port: int, pings: int) -> list[int]:
    """What kind of frame answers each ping, one after the other, on a connection without calls."""
    answers: list[int] = []
    with socket.create_connection(("127.0.0.1", port), timeout=20) as peer:
        file = peer.makefile("rb")
        peer.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(SETTINGS, b""))
        while len(answers) < pings and GOAWAY not in answers:
            peer.sendall(frame(PING, bytes(8)))
            kind = None
            while kind not in (PING, GOAWAY):
                head = file.read(9)
                file.read(int.from_bytes(head[:3], "big"))
                kind = head[3]
            answers.append(kind)
    return answers


async def test_an_idle_client_may_ask_whether_the_connection_lives(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It need not have a call in progress to learn that a pod is gone without a word."""
    often = [
        (name, 0 if name == "grpc.http2.min_ping_interval_without_data_ms" else value)
        for name, value in grpc_server.OPTIONS
    ]
    monkeypatch.setattr(grpc_server, "OPTIONS", often)
    async with serving(Counted()) as port:
        assert await asyncio.to_thread(answers_to_pings, port, 10) == [PING] * 10


async def trailers(method: Callable[..., Any]) -> dict[str, Any]:
    """What comes at the end of a call that fails."""
    async with (
        serving(method) as port,
        grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        call = profile_service_pb2_grpc.ProfileServiceStub(channel).GetProfile(ANA, **TOLD)
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await call
    return dict(raised.value.trailing_metadata())  # type: ignore[arg-type]  # they are pairs


async def test_a_full_server_says_when_to_come_back_in_the_word_of_grpc_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Libraries that retry obey it; of what the next server may have at once it is not said."""

    async def loading(*_: Any) -> pb.GetProfileResponse:
        raise CatalogLoading("still reading")

    assert "grpc-retry-pushback-ms" not in await trailers(loading)
    monkeypatch.setattr(grpc_server, "CALLS_AT_ONCE", 0)
    told = await trailers(Counted())
    assert told["grpc-retry-pushback-ms"] == str(grpc_errors.RETRY_DELAY_MS)
    assert "grpc-status-details-bin" in told


async def test_calls_that_come_faster_than_they_are_answered_are_refused_in_time() -> None:
    """They wait inside gRPC, where the server does not see them; it asks itself how long."""

    async def slow(*_: Any) -> pb.GetProfileResponse:
        time.sleep(0.02)  # noqa: ASYNC251 - it works: nothing else is done meanwhile
        return pb.GetProfileResponse()

    async with serving(slow) as port, grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        profiles = profile_service_pb2_grpc.ProfileServiceStub(channel)

        async def code_of_one() -> str:
            try:
                await profiles.GetProfile(ANA, **TOLD)
            except grpc.aio.AioRpcError as error:
                return error.code().name
            return "OK"

        await code_of_one()
        codes = Counter(await asyncio.gather(*(code_of_one() for _ in range(180))))
    assert codes["OK"] >= 5
    assert codes["RESOURCE_EXHAUSTED"] >= 90
    assert codes["OK"] + codes["RESOURCE_EXHAUSTED"] == 180
