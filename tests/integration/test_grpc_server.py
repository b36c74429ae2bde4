"""The shared server: identity, limits, errors, deadlines, over real gRPC."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
import pytest
from attune.profiles.v1 import profile_service_pb2 as pb
from attune.profiles.v1 import profile_service_pb2_grpc
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_status import rpc_status
from structlog.testing import capture_logs

from services.shared import grpc_server
from services.shared.errors import BadSetting, CatalogLoading
from services.shared.grpc_server import CALL_SECONDS, CALLS, Call, Service, start_server
from services.shared.health import Health
from services.shared.identity import ApiKeys, new_key
from tests.waiting import eventually_async

KEY, KNOWN = new_key(shop_id="demo", scopes=["profiles.read"], key_id="reader")
OTHER, POOR = new_key(shop_id="demo", scopes=["recommendations.read"], key_id="poor")
KEYS = ApiKeys([KNOWN, POOR])
SERVICE = pb.DESCRIPTOR.services_by_name["ProfileService"]
METHOD = "attune.profiles.v1.ProfileService/GetProfile"


class Answering:
    """A method whose behaviour a test sets."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.then: Callable[[], Awaitable[Message]] = self.empty

    async def empty(self) -> Message:
        return pb.GetProfileResponse()

    async def __call__(self, request: Any, call: Call) -> Message:
        self.calls.append(call)
        return await self.then()


@pytest.fixture
async def method() -> Answering:
    return Answering()


@pytest.fixture
async def stub(method: Answering) -> AsyncIterator[Any]:
    health = Health()
    server, port = await start_server(
        [Service(SERVICE, {"GetProfile": method})],
        keys=KEYS,
        health=health,
        host="127.0.0.1",
        port=0,
    )
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = profile_service_pb2_grpc.ProfileServiceStub(channel)
        stub.channel = channel  # type: ignore[attr-defined]  # for tests of other services
        stub.port = port  # type: ignore[attr-defined]
        yield stub
    await server.stop(None)


def bearer(key: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {key}"),)


async def failure(call: Awaitable[Any]) -> tuple[grpc.StatusCode, list[Any]]:
    """The status and the details of a call that fails."""
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    status = rpc_status.from_call(raised.value)  # type: ignore[arg-type]  # aio errors have it too
    assert status is not None
    details = []
    for packed in status.details:
        for kind in ("ErrorInfo", "BadRequest", "RetryInfo"):
            detail = getattr(error_details_pb2, kind)()
            if packed.Unpack(detail):
                details.append(detail)
    assert details[0].domain == "attune"
    return raised.value.code(), details


def scopeless() -> ServiceDescriptor:
    """A service whose only method names no scope."""
    file = FileDescriptorProto(name="scopeless.proto", syntax="proto3")
    file.message_type.add(name="Nothing")
    service = file.service.add(name="Scopeless")
    service.method.add(name="Check", input_type="Nothing", output_type="Nothing")
    pool = DescriptorPool()
    pool.Add(file)
    return pool.FindServiceByName("Scopeless")


ANA = pb.GetProfileRequest(user_id="ana")


async def test_a_call_with_a_key_is_told_its_shop(stub: Any, method: Answering) -> None:
    """The shop comes from the key, the time left from the caller's deadline."""
    await stub.GetProfile(ANA, metadata=bearer(KEY), timeout=7)
    (call,) = method.calls
    assert call.shop_id == "demo"
    assert 6 < call.seconds_left < 7.5  # what is sent over the wire is rounded up


@pytest.mark.parametrize(
    ("metadata", "status", "reason"),
    [
        ((), grpc.StatusCode.UNAUTHENTICATED, "API_KEY_INVALID"),
        (bearer(KEY[:-1] + "!"), grpc.StatusCode.UNAUTHENTICATED, "API_KEY_INVALID"),
        (bearer(OTHER), grpc.StatusCode.PERMISSION_DENIED, "SCOPE_MISSING"),
    ],
)
async def test_who_may_not_call_is_refused(
    stub: Any, method: Answering, metadata: Any, status: grpc.StatusCode, reason: str
) -> None:
    """No key, a wrong one and one without the scope are refused before anything is done."""
    code, (info,) = await failure(stub.GetProfile(ANA, metadata=metadata, timeout=5))
    assert (code, info.reason) == (status, reason)
    assert method.calls == []


async def test_a_method_without_a_scope_is_refused_to_everybody() -> None:
    """Forgetting the option closes the door instead of opening it."""
    server, port = await start_server(
        [Service(scopeless(), {"Check": Answering()})],
        keys=KEYS,
        health=Health(),
        host="127.0.0.1",
        port=0,
    )
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        check = channel.unary_unary("/Scopeless/Check", bytes, bytes)
        call = check(b"", metadata=bearer(KEY), timeout=5)
        code, (info,) = await failure(call)
    await server.stop(None)
    assert (code, info.reason) == (grpc.StatusCode.PERMISSION_DENIED, "SCOPE_MISSING")


async def test_limits_of_the_proto_are_told_by_field(stub: Any, method: Answering) -> None:
    """A request beyond the contract's limits is INVALID_ARGUMENT and names its fields."""
    long = pb.GetProfileRequest(user_id="a" * 129, visitor_id="b" * 129)
    code, (info, bad) = await failure(stub.GetProfile(long, metadata=bearer(KEY), timeout=5))
    assert (code, info.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")
    assert [each.field for each in bad.field_violations] == ["user_id", "visitor_id"]
    assert method.calls == []
    nobody = pb.GetProfileRequest()
    _, (_, bad) = await failure(stub.GetProfile(nobody, metadata=bearer(KEY), timeout=5))
    assert [each.description for each in bad.field_violations] == [
        "user_id or visitor_id must be set"
    ]


async def test_retriable_errors_say_when_to_try_again(stub: Any, method: Answering) -> None:
    """What passes by itself is UNAVAILABLE, with its code and a delay."""

    async def loading() -> Message:
        raise CatalogLoading("still reading")

    method.then = loading
    code, (info, retry) = await failure(stub.GetProfile(ANA, metadata=bearer(KEY), timeout=5))
    assert (code, info.reason) == (grpc.StatusCode.UNAVAILABLE, "CATALOG_LOADING")
    assert retry.retry_delay.ToTimedelta().total_seconds() > 0


async def test_a_mistake_of_ours_is_not_told_but_logged(stub: Any, method: Answering) -> None:
    """An unexpected error is INTERNAL without details; the log and the count have it."""

    async def broken() -> Message:
        raise RuntimeError("the secret is 42")

    method.then = broken
    before = CALLS.labels(METHOD, "INTERNAL")._value.get()
    with capture_logs() as logs, pytest.raises(grpc.aio.AioRpcError) as raised:
        await stub.GetProfile(ANA, metadata=bearer(KEY), timeout=5)
    assert raised.value.code() is grpc.StatusCode.INTERNAL
    assert "42" not in str(raised.value.details())
    assert "42" not in str(raised.value.trailing_metadata())
    (line,) = [each for each in logs if each["event"] == "call_failed"]
    assert "42" in str(line["exc_info"])
    assert line["key_id"] == "reader"
    # The caller may hear of it before it is counted.
    counted = CALLS.labels(METHOD, "INTERNAL")._value.get
    await eventually_async(lambda: _true(counted() == before + 1), within=30)


async def test_a_call_without_a_deadline_gets_one(
    stub: Any, method: Answering, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A method that never ends is cut off by the default deadline."""
    monkeypatch.setattr(grpc_server, "DEFAULT_DEADLINE", 0.05)

    async def never() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    method.then = never
    code, (info,) = await failure(stub.GetProfile(ANA, metadata=bearer(KEY)))
    assert (code, info.reason) == (grpc.StatusCode.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED")


async def test_a_call_that_its_caller_gave_up_is_counted_and_timed(
    stub: Any, method: Answering
) -> None:
    """In an overload these are the calls that matter: a deadline and a cancel, each as such."""

    async def never() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    def counted(code: str) -> float:
        return float(CALLS.labels(METHOD, code)._value.get())

    def timed() -> float:
        return float(CALL_SECONDS.labels(METHOD)._sum.get())

    method.then = never
    codes = ("DEADLINE_EXCEEDED", "CANCELLED")
    before, seconds = [counted(code) for code in codes], timed()
    with pytest.raises(grpc.aio.AioRpcError):
        await stub.GetProfile(ANA, metadata=bearer(KEY), timeout=0.1)
    call = stub.GetProfile(ANA, metadata=bearer(KEY), timeout=30)
    await eventually_async(lambda: _true(len(method.calls) == 2), within=30)
    call.cancel()

    async def both() -> bool:
        return [counted(code) for code in codes] == [count + 1 for count in before]

    await eventually_async(both, within=30)
    assert timed() >= seconds + 0.1


async def test_calls_beyond_the_bound_are_refused_and_health_is_not(
    method: Answering, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A busy server says so at once, with when to try again, and is still alive."""
    monkeypatch.setattr(grpc_server, "CALLS_AT_ONCE", 2)
    go_on = asyncio.Event()

    async def slow() -> Message:
        await go_on.wait()
        return pb.GetProfileResponse()

    method.then = slow
    services = [Service(SERVICE, {"GetProfile": method})]
    server, port = await start_server(
        services, keys=KEYS, health=Health(), host="127.0.0.1", port=0
    )
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        profiles = profile_service_pb2_grpc.ProfileServiceStub(channel)
        held = [profiles.GetProfile(ANA, metadata=bearer(KEY), timeout=20) for _ in range(2)]
        await eventually_async(lambda: _true(len(method.calls) == 2), within=30)
        code, (info, retry) = await failure(
            profiles.GetProfile(ANA, metadata=bearer(KEY), timeout=5)
        )
        assert (code, info.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_CALLS")
        assert retry.retry_delay.ToTimedelta().total_seconds() > 0
        await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=5)
        go_on.set()
        await asyncio.gather(*held)
        await profiles.GetProfile(ANA, metadata=bearer(KEY), timeout=5)
    await server.stop(None)


async def _true(condition: bool) -> bool:
    return condition


async def test_a_large_message_is_refused(stub: Any) -> None:
    """A message beyond the limit is refused by the transport."""
    big = pb.GetProfileRequest(user_id="a" * (2 << 20))
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await stub.GetProfile(big, metadata=bearer(KEY), timeout=5)
    assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_health_needs_no_key(stub: Any) -> None:
    """An orchestrator has no key; a server that was not said to be ready is NOT_SERVING."""
    answer = await health_pb2_grpc.HealthStub(stub.channel).Check(
        health_pb2.HealthCheckRequest(), timeout=5
    )
    assert answer.status == health_pb2.HealthCheckResponse.NOT_SERVING


async def test_a_taken_port_is_named(stub: Any) -> None:
    """A second server on the same port does not start, and says which port it is."""
    with pytest.raises(BadSetting, match=str(stub.port)):
        await start_server([], keys=KEYS, health=Health(), host="127.0.0.1", port=stub.port)
