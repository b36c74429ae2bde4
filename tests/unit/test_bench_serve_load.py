"""The load of ``make bench-serve``: a server that stands still is charged for all who come then."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import grpc
import numpy as np
import pytest
from attune.recommendations.v1 import recommendation_service_pb2 as pb

from tests.bench.serve import load
from tests.bench.serve.load import CONNECTIONS, METHOD, Outcome, Task

STILL_SECONDS = 1.0
HELD_UP_SECONDS = 0.4
RATE, SECONDS, WARM = 200.0, 1.2, 0.1
SENT = int(RATE * SECONDS)
WARMED = int(RATE * WARM)
BEFORE = 2 * CONNECTIONS + WARMED + 20
"""Calls that are answered before a server stands still: every connection is asked once each time,
then what warms, then some that count."""


class Server:
    """Answers at once, but for a while that begins with one of its calls; or refuses all.

    With one of its calls it can hold up the load as well, which runs on the same thread.
    """

    def __init__(self, *, still_at: int = 0, holds_up_at: int = 0, refuses: bool = False) -> None:
        self.came = self.waiting = self.most = 0
        self._still_at, self._holds_up_at, self._refuses = still_at, holds_up_at, refuses
        self._goes_on = asyncio.Event()
        self._goes_on.set()

    async def answer(self, _: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        self.came += 1
        if self._refuses:
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED)
        loop = asyncio.get_running_loop()
        if self.came == self._holds_up_at:
            loop.call_soon(time.sleep, HELD_UP_SECONDS)
        if self.came == self._still_at:
            self._goes_on.clear()
            loop.call_later(STILL_SECONDS, self._goes_on.set)
        self.waiting += 1
        self.most = max(self.most, self.waiting)
        await self._goes_on.wait()
        self.waiting -= 1
        return pb.RecommendResponse(source=pb.SOURCE_PERSONAL).SerializeToString()

    @asynccontextmanager
    async def standing(self) -> AsyncIterator[str]:
        """The address at which it answers."""
        service, method = METHOD.strip("/").split("/")
        handler = grpc.unary_unary_rpc_method_handler(self.answer)
        server = grpc.aio.server()
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(service, {method: handler}),)
        )
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        try:
            yield f"127.0.0.1:{port}"
        finally:
            await server.stop(None)

    async def under(self, **told: float) -> Outcome:
        """What a load says of it."""
        async with self.standing() as address:
            users = [f"u{number}" for number in range(50)]
            return await load.run(Task(address=address, key="k", users=users, **told))  # type: ignore[arg-type]  # callers is whole


@pytest.fixture(autouse=True)
def a_short_load(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Little to warm up, and no call that a busy machine could bring past its deadline."""
    monkeypatch.setattr(load, "WARM_SECONDS", WARM)
    monkeypatch.setattr(load, "DEADLINE_SECONDS", 30.0)
    yield
    gc.unfreeze()


def p99(outcome: Outcome) -> float:
    return float(np.percentile(outcome.latencies, 99))


async def test_a_server_that_stands_still_is_charged_for_all_who_come_meanwhile() -> None:
    """As many calls are sent as to one that never does, and each counts from when it was due."""
    calm, still = Server(), Server(still_at=BEFORE)
    usual, seen = await asyncio.gather(
        calm.under(rate=RATE, seconds=SECONDS), still.under(rate=RATE, seconds=SECONDS)
    )
    assert calm.came == still.came == 2 * CONNECTIONS + WARMED + SENT
    assert (usual.warmed, seen.warmed) == (WARMED, WARMED)
    assert len(usual.latencies) == len(seen.latencies) == SENT
    assert not usual.failed
    assert not seen.failed
    assert still.most >= SENT / 4, "it waited for answers before it sent more"
    assert p99(seen) >= 0.9 * STILL_SECONDS * 1e3
    assert np.median(seen.latencies) >= 0.2 * STILL_SECONDS * 1e3, "only some of them counted"
    assert seen.sources == {"SOURCE_PERSONAL": SENT // 10}


async def test_calls_that_are_sent_late_count_from_when_they_were_due() -> None:
    """Where the load itself is held up, it says so, and the calls are not the quicker for it."""
    outcome = await Server(holds_up_at=BEFORE).under(rate=RATE, seconds=2 * HELD_UP_SECONDS)
    assert outcome.late >= 0.5 * HELD_UP_SECONDS * 1e3
    assert p99(outcome) >= outcome.late


@pytest.mark.parametrize("refuses", [True, False], ids=["refused", "answered"])
async def test_closed_loop_callers_wait_after_a_refusal(refuses: bool) -> None:
    """And after nothing else: who has an answer asks again at once."""
    server, callers, times = Server(refuses=refuses), 2, 2
    seconds = times * load.REFUSED_SECONDS
    outcome = await server.under(callers=callers, seconds=seconds)
    made = len(outcome.latencies) + sum(outcome.failed.values())
    if refuses:
        assert outcome.failed == {"RESOURCE_EXHAUSTED": made}
        assert callers < made <= callers * (times + 1)
    else:
        assert not outcome.failed
        assert made > callers * (times + 1)
