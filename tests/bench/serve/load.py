"""Calls at a steady or at the greatest rate, from a process of its own.

*Open loop*: calls are due at moments drawn beforehand (a Poisson process, by seed), whether or not
earlier ones have been answered; a call's latency counts from when it was due, so a server that
stands still is charged for all who would have come meanwhile (no coordinated omission). *Closed
loop*: so many callers, each of which asks again once it has its answer.

``python -m tests.bench.serve.load`` reads a :class:`Task` as JSON from its standard input and
writes an :class:`Outcome` to its output.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import time
from collections import Counter
from collections.abc import Sequence
from typing import Final

import grpc
import msgspec
import numpy as np
import uvloop
from attune.recommendations.v1 import recommendation_service_pb2 as pb

from services.shared.grpc_errors import RETRY_DELAY_MS

METHOD: Final = "/attune.recommendations.v1.RecommendationService/Recommend"
REFUSED_SECONDS: Final = RETRY_DELAY_MS / 1e3
"""A caller who waits for answers obeys a refusal's hint, as libraries do."""
CONNECTIONS: Final = 8
DEADLINE_SECONDS: Final = 1.0
WARM_SECONDS: Final = 2.0


class Task(msgspec.Struct, frozen=True):
    """What to do."""

    address: str
    key: str
    users: list[str]
    seconds: float
    rate: float = 0.0
    """Calls a second; 0 is a closed loop."""
    callers: int = 1
    """Of a closed loop."""
    seed: int = 1
    limit: int = 10


class Outcome(msgspec.Struct, frozen=True):
    """How it went."""

    latencies: list[float]
    """Milliseconds of each answered call."""
    seconds: float
    failed: dict[str, int]
    """Calls without an answer, by status."""
    sources: dict[str, int]
    """Of every tenth answer: how it was made."""
    warmed: int
    """Calls before that do not count."""
    late: float
    """Milliseconds that 99 % of calls were sent after they were due, at most: the load's own."""


class _Calls:
    """Channels, requests made beforehand, and what becomes of them."""

    def __init__(self, task: Task) -> None:
        options = (("grpc.use_local_subchannel_pool", 1),)
        self.channels = [
            grpc.aio.insecure_channel(task.address, options=options) for _ in range(CONNECTIONS)
        ]
        self._calls = [channel.unary_unary(METHOD, None, None) for channel in self.channels]
        self._metadata = (("authorization", f"Bearer {task.key}"),)
        self._requests = [
            pb.RecommendRequest(user_id=user, limit=task.limit).SerializeToString()
            for user in task.users
        ]
        self._order = np.random.default_rng(task.seed).permutation(len(task.users)).tolist()
        self.latencies: list[float] = []
        self.failed: Counter[str] = Counter()
        self.sources: Counter[str] = Counter()

    async def one(self, number: int, due: float) -> bool:
        """Call number ``number``, which was due at that moment; whether it was answered."""
        request = self._requests[self._order[number % len(self._order)]]
        call = self._calls[number % CONNECTIONS]
        try:
            answer = await call(request, metadata=self._metadata, timeout=DEADLINE_SECONDS)
        except grpc.aio.AioRpcError as error:
            self.failed[error.code().name] += 1
            return False
        self.latencies.append((time.perf_counter() - due) * 1e3)
        if not number % 10:
            self.sources[pb.Source.Name(pb.RecommendResponse.FromString(answer).source)] += 1
        return True


async def run(task: Task) -> Outcome:
    """Do the task, after :data:`WARM_SECONDS` of the same that do not count."""
    warming = await _paced(task, WARM_SECONDS, 0)
    gc.collect()
    gc.freeze()
    warmed = len(warming.latencies) + sum(warming.failed.values())
    return await _paced(task, task.seconds, warmed)


async def _paced(task: Task, seconds: float, warmed: int) -> Outcome:
    calls = _Calls(task)
    for number in range(CONNECTIONS):
        await calls.one(number, time.perf_counter())
    for counted in (calls.latencies, calls.failed, calls.sources):
        counted.clear()
    started = time.perf_counter()
    if task.rate:
        late = await _open(calls, task, seconds)
    else:
        late = await _closed(calls, task, seconds)
    taken = time.perf_counter() - started
    for channel in calls.channels:
        await channel.close(None)
    return Outcome(calls.latencies, taken, dict(calls.failed), dict(calls.sources), warmed, late)


async def _open(calls: _Calls, task: Task, seconds: float) -> float:
    gaps = np.random.default_rng(task.seed).exponential(1 / task.rate, int(task.rate * seconds))
    due = (time.perf_counter() + np.cumsum(gaps)).tolist()
    waiting: set[asyncio.Task[bool]] = set()
    behind = []
    for number, moment in enumerate(due):
        if (left := moment - time.perf_counter()) > 0:
            await asyncio.sleep(left)
        behind.append(time.perf_counter() - moment)
        task_of_it = asyncio.ensure_future(calls.one(number, moment))
        waiting.add(task_of_it)
        task_of_it.add_done_callback(waiting.discard)
    if waiting:
        await asyncio.wait(waiting)
    return float(np.percentile(behind, 99)) * 1e3


async def _closed(calls: _Calls, task: Task, seconds: float) -> float:
    end = time.perf_counter() + seconds

    async def caller(number: int) -> None:
        while (now := time.perf_counter()) < end:
            if not await calls.one(number, now):
                await asyncio.sleep(REFUSED_SECONDS)
            number += task.callers

    await asyncio.gather(*(caller(number) for number in range(task.callers)))
    return 0.0


def main(arguments: Sequence[str]) -> None:
    """Read the task, do it, write what came of it."""
    if arguments:
        raise SystemExit(__doc__)
    task = msgspec.json.decode(sys.stdin.buffer.read(), type=Task)
    sys.stdout.buffer.write(msgspec.json.encode(uvloop.run(run(task))))


if __name__ == "__main__":
    main(sys.argv[1:])
