"""A server under load: how late its answers are, and what they take."""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import numpy as np
import psutil

from deploy.local.supervised import Supervised, listens
from tests.bench.serve.controls import Setup
from tests.bench.serve.load import Outcome, Task

_CORES: Final = sorted(os.sched_getaffinity(0))
"""That we were given, before any of us was told to run on some of them only."""
SERVER_CORE: Final = _CORES[:1]
OTHERS: Final = _CORES[1:] or _CORES
"""Where the load, Redis and Kafka run while the server has its core."""
LATE_MS: Final = 10.0
LOOK_SECONDS: Final = 0.2
ROOT: Final = Path(__file__).parents[3]


class Figures(NamedTuple):
    """Of one stretch of load."""

    rate: float
    """Answers a second."""
    p50: float
    p99: float
    p999: float
    """Milliseconds from when a call was due."""
    processor: float
    """Milliseconds of processor time for a call, of the server's processes."""
    failed: float
    """Calls without an answer, as a share."""
    late: float
    """The load's own delay, see :class:`tests.bench.serve.load.Outcome`."""
    personal: float
    """Answers from the model, as a share."""
    latencies: Sequence[float]


async def under_load(task: Task, servers: Sequence[int]) -> Figures:
    """Run a load in a process of its own against the processes with these ids.

    Raises RuntimeError where nothing was answered: then there is nothing to measure.
    """
    load = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.bench.serve.load",
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
    )
    pin(load.pid, OTHERS)
    before = _processor(servers)
    out, _ = await load.communicate(msgspec.json.encode(task))
    spent = _processor(servers) - before
    outcome = msgspec.json.decode(out, type=Outcome)
    if not outcome.latencies:
        raise RuntimeError(f"{task.address} answered none of the calls: {outcome.failed}")
    return _figures(outcome, spent)


def _figures(outcome: Outcome, spent: float) -> Figures:
    answered, failed = len(outcome.latencies), sum(outcome.failed.values())
    p50, p99, p999 = np.percentile(outcome.latencies, (50, 99, 99.9)).tolist()
    made = answered + failed + outcome.warmed
    sampled = sum(outcome.sources.values())
    return Figures(
        rate=answered / outcome.seconds,
        p50=p50,
        p99=p99,
        p999=p999,
        processor=spent / made * 1e3,
        failed=failed / max(answered + failed, 1),
        late=outcome.late,
        personal=outcome.sources.get("SOURCE_PERSONAL", 0) / max(sampled, 1),
        latencies=outcome.latencies,
    )


def _processor(servers: Sequence[int]) -> float:
    """Seconds of processor time that these processes have used."""
    times = [psutil.Process(pid).cpu_times() for pid in servers]
    return sum(each.user + each.system for each in times)


def memory(servers: Sequence[int]) -> float:
    """MB that these processes hold, what they share counted by halves (proportional set size)."""
    return sum(psutil.Process(pid).memory_full_info().pss for pid in servers) / 1e6


def pin(pid: int, cores: Sequence[int]) -> None:
    """Let a process, all its threads, run on these cores only."""
    for thread in psutil.Process(pid).threads():
        with suppress(ProcessLookupError):  # it has ended meanwhile
            os.sched_setaffinity(thread.id, cores)


@contextmanager
def control(kind: str, setup: Setup, log: Path) -> Iterator[Supervised]:
    """A control that answers; see :mod:`tests.bench.serve.controls`."""
    told = log.with_suffix(".json")
    told.write_bytes(msgspec.json.encode(setup))
    command = f"cd {ROOT} && exec {sys.executable} -m tests.bench.serve.controls {kind} < {told}"
    server = Supervised(kind, ["sh", "-c", command], log)
    server.start()
    try:
        server.wait_until(lambda: listens(setup.port, "127.0.0.1"), within=60)
        yield server
    finally:
        server.kill()


def wait_for_line(log: Path, word: str, within: float) -> None:
    """Return once a line of the log has ``word``. Raises TimeoutError."""
    until = time.monotonic() + within
    while word not in (log.read_text() if log.exists() else ""):
        if time.monotonic() > until:
            raise TimeoutError(f"{log} has no {word} after {within:.0f} s")
        time.sleep(LOOK_SECONDS)


def median(values: Sequence[float]) -> float:
    """The median."""
    return statistics.median(values)
