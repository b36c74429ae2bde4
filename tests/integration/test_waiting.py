"""A server that asks itself how long calls wait."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import grpc

from services.shared.waiting import Waiting
from tests.waiting import eventually_async


async def test_it_tells_how_long_a_call_waits_and_nothing_once_it_is_over() -> None:
    """A queue of calls that are worked on one by one; then the server ends in the midst of it."""
    server, waiting = grpc.aio.server(), Waiting(time.monotonic)

    async def work(_: bytes, __: Any) -> bytes:
        time.sleep(0.02)  # noqa: ASYNC251 - it works: nothing else is done meanwhile
        return b""

    handler = grpc.unary_unary_rpc_method_handler(work)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("t", {"W": handler}),))
    waiting.add_to(server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    asking = asyncio.create_task(waiting.run(server))
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = channel.unary_unary("/t/W", None, None)
        calls = [asyncio.ensure_future(call(b"")) for _ in range(50)]

        async def waits() -> bool:
            return waiting.seconds > 0.1

        await eventually_async(waits, within=20)
        await server.stop(None)
        await asking
        await asyncio.gather(*calls, return_exceptions=True)
    assert waiting.seconds == 0
