"""How long a call waits before a server sees it, by a call of the server's own now and then.

Calls that arrive faster than they are answered wait inside gRPC, where nobody tells how many they
are: the server is handed one after the other and always seems to have next to nothing in hand. So
it asks itself, through an address of its own, as its callers do, and waits its turn among them:
the round trip is the time that counts for whoever is controlling the queue (CoDel, Nichols and
Jacobson, 2012: the sojourn time, whatever the length of the queue and the speed behind it).

The health service does not tell: its generated code registers its methods, for which gRPC keeps
queues of their own. All that is registered by a generic handler waits in one.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Awaitable, Callable
from typing import Final

import grpc
from prometheus_client import Gauge

SERVICE: Final = "attune.Waiting"
EVERY_SECONDS: Final = 0.1
LONGEST_SECONDS: Final = 2.0
"""A call of our own that takes longer is given up."""

REFUSED: Final = frozenset({grpc.StatusCode.CANCELLED, grpc.StatusCode.RESOURCE_EXHAUSTED})
"""Said by gRPC itself where more calls wait than it keeps."""

WAIT = Gauge("calls_wait_seconds", "What a call of the server to itself took last.")


class Waiting:
    """The calls of one server to itself."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """``clock`` tells seconds; only differences count."""
        # Only processes of the same machine reach it; the port may be shared with other servers.
        self._address = f"unix-abstract:attune-{os.getpid()}-{secrets.token_hex(8)}"
        self._clock = clock
        self._took = 0.0
        self._asked: float | None = None

    def add_to(self, server: grpc.aio.Server) -> None:
        """Listen, and answer ourselves."""
        asked = grpc.unary_unary_rpc_method_handler(_answer)
        handler = grpc.method_handlers_generic_handler(SERVICE, {"Ask": asked})
        server.add_generic_rpc_handlers((handler,))
        server.add_insecure_port(self._address)

    @property
    def seconds(self) -> float:
        """What the last one took, or the one under way has taken so far if that is longer."""
        so_far = 0.0 if self._asked is None else self._clock() - self._asked
        return max(self._took, so_far)

    async def run(self, server: grpc.aio.Server) -> None:
        """Ask until the server ends."""
        asking = asyncio.create_task(self._ask())
        try:
            await server.wait_for_termination()
        finally:
            asking.cancel()

    async def _ask(self) -> None:
        async with grpc.aio.insecure_channel(self._address) as channel:
            ask = channel.unary_unary(f"/{SERVICE}/Ask", None, None)
            try:
                while True:
                    self._took = await self._once(ask)
                    WAIT.set(self._took)
                    await asyncio.sleep(EVERY_SECONDS)
            finally:
                self._took = 0.0  # whatever ends it: who is not asked any more refuses nobody

    async def _once(self, ask: Callable[..., Awaitable[bytes]]) -> float:
        """What a call takes, or would have taken."""
        self._asked = asked = self._clock()
        try:
            await ask(b"", timeout=LONGEST_SECONDS)
            return self._clock() - asked
        except grpc.aio.AioRpcError as error:
            return self._in_vain(error, self._clock() - asked)
        finally:
            self._asked = None

    def _in_vain(self, error: grpc.aio.AioRpcError, took: float) -> float:
        """What it would have taken."""
        code = error.code()
        if code in REFUSED:
            return LONGEST_SECONDS
        return took if code is grpc.StatusCode.DEADLINE_EXCEEDED else self._took


async def _answer(_: bytes, __: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
    return b""
