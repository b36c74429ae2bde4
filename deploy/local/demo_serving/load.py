"""Calls at a steady rate, in phases: how many failed, how late, and by which model answered."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import math
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import grpc
import msgspec
import numpy as np
from attune.recommendations.v1 import recommendation_service_pb2 as api
from attune.recommendations.v1 import recommendation_service_pb2_grpc as services

CALLS_A_SECOND: Final = 25.0
DEADLINE_SECONDS: Final = 5.0
"""Longer than a storefront waits: what is late is to be seen in the percentiles."""
WARMING_UP: Final = ""
"""The phase of calls that count to nothing."""
OVERLOAD: Final = frozenset({"RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED"})
"""What a call ends with where the machine is too small or too busy for all of them."""
EACH_SECONDS: Final = 0.02
"""Between two looks whether something has come true."""


class Phase(msgspec.Struct, frozen=True, kw_only=True):
    """What came of the calls of a while; milliseconds as the caller sees them."""

    name: str
    calls: int
    failed: dict[str, int]
    """Calls by the status that they ended with."""
    p50: float
    p99: float
    answered_by: dict[str, int]
    """Calls by the version of the model."""
    fallbacks: dict[str, int]
    """Calls that no model answered, by the cause; Redis may be late on a busy machine."""

    @property
    def broken(self) -> dict[str, int]:
        """The failed calls for which no overload is to blame, by their status."""
        return {name: count for name, count in self.failed.items() if name not in OVERLOAD}


class Load:
    """Asks for shoppers in turn, whether the last call is answered or not."""

    def __init__(self, address: str, api_key_file: Path, shoppers: Sequence[str]) -> None:
        """Connect when :meth:`running` begins."""
        self._address = address
        self._metadata = (("authorization", f"Bearer {api_key_file.read_text()}"),)
        self._shoppers: Iterator[str] = itertools.cycle(shoppers)
        self._took: defaultdict[str, list[float]] = defaultdict(list)
        self._failed: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._versions: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._fallbacks: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self.phase = WARMING_UP
        """What the calls of now count to."""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Call until the end of the context; then wait for the last answers."""
        calls: set[asyncio.Task[None]] = set()
        async with grpc.aio.insecure_channel(self._address) as channel:
            stub = services.RecommendationServiceStub(channel)
            calling = asyncio.create_task(self._call_on(stub, calls))
            try:
                yield
            finally:
                calling.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await calling
                await asyncio.gather(*calls)

    async def until_answered_by(self, version: str, *, within: float) -> bool:
        """Whether in this phase a call is answered by a version within so many seconds."""
        deadline = time.monotonic() + within
        while not self._versions[self.phase][version]:
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(EACH_SECONDS)
        return True

    def phases(self) -> list[Phase]:
        """What came of each phase, in their order."""
        return [self._came_of(name) for name in self._took if name != WARMING_UP]

    def _came_of(self, name: str) -> Phase:
        took = self._took[name]
        p50, p99 = np.percentile(took or [math.nan], [50, 99])
        return Phase(
            name=name,
            calls=len(took) + self._failed[name].total(),
            failed=dict(self._failed[name]),
            p50=float(p50),
            p99=float(p99),
            answered_by=dict(self._versions[name]),
            fallbacks=dict(self._fallbacks[name]),
        )

    async def _call_on(
        self, stub: services.RecommendationServiceAsyncStub, calls: set[asyncio.Task[None]]
    ) -> None:
        due = time.monotonic()
        while True:
            call = asyncio.create_task(self._call(stub, self.phase))
            calls.add(call)
            call.add_done_callback(calls.discard)
            due += 1 / CALLS_A_SECOND
            await asyncio.sleep(max(0.0, due - time.monotonic()))

    async def _call(self, stub: services.RecommendationServiceAsyncStub, phase: str) -> None:
        request = api.RecommendRequest(user_id=next(self._shoppers))
        took, started = self._took[phase], time.perf_counter()
        try:
            answer = await stub.Recommend(
                request, timeout=DEADLINE_SECONDS, metadata=self._metadata
            )
        except grpc.aio.AioRpcError as error:
            self._failed[phase][error.code().name] += 1
            return
        took.append((time.perf_counter() - started) * 1000)
        if answer.model_version:
            self._versions[phase][answer.model_version] += 1
        else:
            self._fallbacks[phase][api.FallbackCause.Name(answer.fallback_cause)] += 1
