"""A gRPC server whose contracts say who may call what, and with what.

Each method is wrapped once, at start. An interceptor could do the same work, but in grpc.aio
it makes a new method handler for every call. The wrapper, for every call:

1. verifies the API key and that it holds the method's ``attune.access.v1.required_scope``,
   read from the proto; a method without one is refused to everybody;
2. refuses it where more are in hand than can be answered in time
   (:mod:`services.shared.calls_in_hand`), and checks the request against the limits stated in
   the proto (protovalidate);
3. calls the method with the shop of the key, within a deadline;
4. maps :mod:`services.shared.errors` to ``google.rpc.Status`` with ``ErrorInfo``,
   ``BadRequest`` and ``RetryInfo``; anything unexpected is INTERNAL, said in the log only;
5. counts and times it, however it ended, and logs one line if it failed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import grpc
import structlog
from attune.access.v1 import access_pb2
from google.protobuf import message_factory
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message
from grpc_reflection.v1alpha import reflection
from prometheus_client import Counter, Histogram
from protovalidate import Validator

from services.shared.calls_in_hand import CallsInHand
from services.shared.errors import AttuneError, BadInput, ScopeMissing, TooManyCalls
from services.shared.grpc_errors import told
from services.shared.health import Health, listen
from services.shared.identity import ApiKey, ApiKeys
from services.shared.violations import path_of
from services.shared.waiting import Waiting

DEFAULT_DEADLINE: Final = 2.0
"""Seconds a call without a deadline of its own may take."""

MESSAGE_BYTES: Final = 1 << 20
"""A larger request is refused by the transport, unless a service takes more."""

CALLS_AT_ONCE: Final = 1_000
"""At most; usually fewer. Beyond these, calls are refused with RESOURCE_EXHAUSTED instead of
queued. Health and reflection do not count: a server that is busy is still alive."""

CONNECTION_AGE_MS: Final = 120_000
"""A client that balances by itself looks for new servers when it has to connect anew, so a
connection is ended at this age, give or take a tenth (gRPC's own jitter). The client is told
first: calls in progress end where they are, new ones go elsewhere, none fails."""

CONNECTION_GRACE_MS: Final = 30_000
"""How long calls in progress may take to end; longer than any of ours waits."""

OPTIONS: Final[Sequence[tuple[str, int]]] = (
    ("grpc.max_send_message_length", 4 << 20),
    ("grpc.max_metadata_size", 16 << 10),
    ("grpc.max_concurrent_streams", 1_000),  # of one connection
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),  # clients may ask whether an idle one still lives
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ("grpc.http2.max_ping_strikes", 3),
)

WAITING: Final = 200
"""Calls that gRPC keeps for us beyond those we have taken. Beyond these it refuses some, beyond
twice as many all, with CANCELLED and without a hint; we refuse with one long before."""

LOG_SECONDS: Final = 1.0
"""Between two lines about refused calls: an overload must not be made worse by its log."""

CALLS = Counter("grpc_calls_total", "Calls answered, by status code.", ["method", "code"])
CALL_SECONDS = Histogram(
    "grpc_call_seconds",
    "From the decoded request to the answer.",
    ["method"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5),
)

_log = structlog.get_logger()


class Call(NamedTuple):
    """What a method is told besides its request."""

    shop_id: str
    """The shop of the caller's key: the only source of a shop there is."""
    seconds_left: float
    """Until the caller's deadline, or the default one."""


Method = Callable[[Any, Call], Awaitable[Message]]


class Service(NamedTuple):
    """One service of the contracts, and what answers its methods, by their names."""

    descriptor: ServiceDescriptor
    methods: Mapping[str, Method]


class _Wrapped:
    """One method behind identity, limits, error mapping and counting."""

    def __init__(
        self, descriptor: MethodDescriptor, method: Method, keys: ApiKeys, in_hand: CallsInHand
    ) -> None:
        options = descriptor.GetOptions()
        self._scope: str = options.Extensions[access_pb2.required_scope]
        self._name = f"{descriptor.containing_service.full_name}/{descriptor.name}"
        self._method = method
        self._keys = keys
        self._in_hand = in_hand
        self._validator = Validator()
        self._seconds = CALL_SECONDS.labels(self._name)
        self._refused, self._told_at = 0, float("-inf")

    async def __call__(
        self, request: Message, context: grpc.aio.ServicerContext[Any, Any]
    ) -> Message:
        started = time.perf_counter()
        code, key_id = grpc.StatusCode.CANCELLED, ""  # unless it comes to an end of its own
        try:
            key = self._keys.verify(_authorization(context))
            key_id = key.key_id
            self._authorize(key)
            answer = await self._in_turn(request, key.shop_id, context)
            code = grpc.StatusCode.OK
            return answer
        except Exception as error:
            code, message, trailers = told(error)
            self._log(error, code, key_id)
            await context.abort(code, message, trailers)
            raise AssertionError("abort raises") from error
        finally:
            self._count(code, context.time_remaining(), time.perf_counter() - started)

    async def _in_turn(
        self, request: Message, shop_id: str, context: grpc.aio.ServicerContext[Any, Any]
    ) -> Message:
        """The answer, unless there are too many calls. Raises TooManyCalls, also in the middle."""
        left = context.time_remaining()
        call = Call(shop_id, DEFAULT_DEADLINE if left is None else left)
        held = self._in_hand.take(shop_id, asyncio.current_task(), call.seconds_left)
        try:
            self._check(request)
            if left is not None:  # gRPC itself cancels the call then
                return await self._method(request, call)
            async with asyncio.timeout(DEFAULT_DEADLINE):
                return await self._method(request, call)
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if not held.is_shed or task is None:
                raise
            task.uncancel()  # it was cancelled to end this call, not to end
            raise TooManyCalls("other calls came first; try again") from error
        finally:
            self._in_hand.end(held)

    def _count(self, code: grpc.StatusCode, left: float | None, seconds: float) -> None:
        """Count and time a call, however it ended; gRPC cancels it at its caller's deadline."""
        if code is grpc.StatusCode.CANCELLED and left is not None and left <= 0:
            code = grpc.StatusCode.DEADLINE_EXCEEDED
        CALLS.labels(self._name, code.name).inc()
        self._seconds.observe(seconds)

    def _authorize(self, key: ApiKey) -> None:
        if not self._scope or not key.may(self._scope):
            raise ScopeMissing(f"{self._name} needs the scope {self._scope or 'that it lacks'}")

    def _check(self, request: Message) -> None:
        violations = self._validator.collect_violations(request)
        if violations:
            fields = tuple((path_of(v), v.proto.message) for v in violations)
            raise BadInput("; ".join(f"{f or 'request'}: {m}" for f, m in fields), fields=fields)

    def _log(self, error: Exception, code: grpc.StatusCode, key_id: str) -> None:
        more = {}
        if isinstance(error, TooManyCalls):
            self._refused += 1
            now = time.monotonic()
            if now - self._told_at < LOG_SECONDS:
                return
            more = {"refused": self._refused}
            self._refused, self._told_at = 0, now
        expected = isinstance(error, AttuneError | TimeoutError)
        _log.warning(
            "call_failed",
            method=self._name,
            key_id=key_id,
            status=code.name,
            reason=getattr(error, "code", code.name),
            message=str(error) if expected else "",
            exc_info=None if expected else error,
            **more,
        )


def _authorization(context: grpc.aio.ServicerContext[Any, Any]) -> str | bytes | None:
    for name, value in context.invocation_metadata() or ():
        if name == "authorization":
            return value
    return None


def _handler(
    service: Service, keys: ApiKeys, in_hand: CallsInHand
) -> grpc.GenericRpcHandler[Any, Any]:
    """Handlers for all methods of a service. Raises KeyError if one is not answered."""
    handlers = {
        method.name: grpc.unary_unary_rpc_method_handler(
            _Wrapped(method, service.methods[method.name], keys, in_hand).__call__,
            request_deserializer=message_factory.GetMessageClass(method.input_type).FromString,
            response_serializer=message_factory.GetMessageClass(
                method.output_type
            ).SerializeToString,
        )
        for method in service.descriptor.methods
    }
    return grpc.method_handlers_generic_handler(service.descriptor.full_name, handlers)


async def start_server(
    services: Sequence[Service],
    *,
    keys: ApiKeys,
    health: Health,
    host: str,
    port: int,
    message_bytes: int = MESSAGE_BYTES,
    share_port: bool = False,
) -> tuple[grpc.aio.Server, int]:
    """Serve ``services``, health and reflection; health and reflection need no key.

    Returns the server and its port (a free one for ``port`` 0). Raises BadSetting if the
    port is taken; with ``share_port`` only if by somebody who does not share it: the kernel
    then spreads connections over those who do. To end: ``await server.stop(grace)``, which lets
    calls finish.
    """
    options = (
        *OPTIONS,
        ("grpc.max_receive_message_length", message_bytes),
        ("grpc.so_reuseport", int(share_port)),
        ("grpc.max_connection_age_ms", CONNECTION_AGE_MS),
        ("grpc.max_connection_age_grace_ms", CONNECTION_GRACE_MS),
        ("grpc.server.max_pending_requests", WAITING),
        ("grpc.server.max_pending_requests_hard_limit", 2 * WAITING),
    )
    server = grpc.aio.server(options=options)
    waiting = Waiting(time.monotonic)
    in_hand = CallsInHand(CALLS_AT_ONCE, waiting=lambda: waiting.seconds)
    server.add_generic_rpc_handlers(tuple(_handler(service, keys, in_hand) for service in services))
    health.add_to(server)
    names = (*(service.descriptor.full_name for service in services), "grpc.health.v1.Health")
    reflection.enable_server_reflection((*names, reflection.SERVICE_NAME), server)
    bound = listen(server, host, port)
    waiting.add_to(server)
    await server.start()
    _keep(asyncio.create_task(waiting.run(server)))
    return server, bound


_running: Final[set[asyncio.Task[None]]] = set()
"""What runs beside servers; asyncio itself forgets a task that nobody holds."""


def _keep(task: asyncio.Task[None]) -> None:
    _running.add(task)
    task.add_done_callback(_running.discard)
