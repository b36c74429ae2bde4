"""Calls at a steady rate while models take turns."""

from __future__ import annotations

import asyncio
import gc
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from random import Random
from typing import Final, NamedTuple

import numpy as np
import psutil

from services.recommendations.adapters.bundle_cache import BundleCache
from services.recommendations.adapters.model import Model
from services.recommendations.adapters.model_keeping import ModelKeeper
from services.recommendations.adapters.model_loading import ModelLoader, expected_bytes
from services.recommendations.adapters.model_shelf import ModelShelf
from services.recommendations.adapters.model_watching import ModelWatch
from services.recommendations.adapters.registry import Registry
from services.recommendations.answering import Answering
from services.recommendations.domain.answer import Answer
from services.recommendations.domain.catalogs import Catalogs
from services.recommendations.domain.transitions import promote, publish, shadow
from services.recommendations.shadowing import Shadowing
from services.shared.archive_storage import LocalStorage
from services.shared.model_input import Vocabulary
from tests.bench import report
from tests.bench.report import Row
from tests.bench.swapping.measuring import SHOP, call, history, of_runs, row
from tests.large_bundle import Size
from tests.waiting import eventually_async

CALLS_A_SECOND: Final = 15.0
QUIET_SECONDS: Final = 4.0
QUIET: Final = "otherwise"
EXCHANGING: Final = "while models are exchanged"
SHADOW: Final = "while a shadow is asked each time"
ELSEWHERE: Final = "while another process loads them"
LOADING: Final = """
import sys
from pathlib import Path
from services.recommendations.adapters.model import model_of, prove
from services.recommendations.adapters.model_loading import golden_histories, warm_up
print("ready", flush=True)
for line in sys.stdin:
    proven = prove(Path(line.strip()))
    warm_up(model_of(proven, proven.bundle.vocabulary), golden_histories(proven.bundle))
    print("loaded", flush=True)
"""
"""A process that loads the bundles whose folders it is told."""


class Server:
    """What a server has of models, with a registry in a folder."""

    def __init__(self, folder: Path, bundles: Sequence[Path]) -> None:
        self.registry = Registry(LocalStorage(folder / "registry"), lambda: 0)
        for bundle in bundles:
            told = self.registry.upload(SHOP, bundle)
            self.change(partial(publish, bundle=told))
        self.promote("v0")
        self.catalogs, self.shelf = Catalogs(Vocabulary(()), (SHOP,)), ModelShelf((SHOP,))
        cache = BundleCache(folder / "cache", most_bytes=1 << 32)
        keeper = ModelKeeper(
            ModelLoader(self.registry, cache, self.catalogs),
            cache,
            self.shelf,
            most_bytes=1 << 32,
            clock=time.monotonic,
        )
        self.watch = ModelWatch(self.registry, cache, keeper, self.shelf, poll_seconds=0.2)
        self.shadowing = Shadowing(self.shelf)
        self.answering = Answering(
            self.shelf, self.shadowing, random=Random(0), clock=time.perf_counter
        )

    def change(self, transition: Callable[..., object]) -> None:
        self.registry.change(SHOP, transition, who="bench", what="bench", why="")  # type: ignore[arg-type]  # a partial of a transition

    def promote(self, version: str) -> None:
        self.change(partial(promote, version=version))


async def exchanging(size: Size, bundles: Sequence[Path], times: int) -> list[Row]:
    """Calls at a steady rate, and models that take turns meanwhile."""
    memory, seconds = list[float](), list[float]()
    with tempfile.TemporaryDirectory() as name:
        server = Server(Path(name), bundles)
        async with other_process() as other:
            following = asyncio.create_task(server.watch.run())
            await server.watch.settled()
            server.catalogs.of(SHOP).available[1:] = True
            gc.collect()
            gc.freeze()
            memory.append(megabytes())
            stream = Stream(server, size)
            jobs = [asyncio.create_task(job) for job in (stream.run(), server.shadowing.run())]
            for turn in range(1, times + 1):
                await asyncio.sleep(QUIET_SECONDS)
                seconds.append(await stream.exchange(f"v{turn % 2}"))
                await asyncio.sleep(QUIET_SECONDS)
                memory.append(megabytes())
                await stream.beside(other, bundles[turn % 2])
            await stream.shadowed(f"v{(times + 1) % 2}", seconds=QUIET_SECONDS * times / 2)
            for task in (*jobs, following):
                task.cancel()
    return [
        *(each for when, took in stream.took.items() for each in latencies(size, took, when=when)),
        row(f"{size.name}: an exchange", of_runs(seconds), "s"),
        row(f"{size.name}: memory with one model", of_runs(memory[:1]), "MB"),
        row(f"{size.name}: memory after an exchange", of_runs(memory[1:]), "MB"),
        row(
            f"{size.name}: a model's memory as it is judged",
            of_runs([expected_bytes(bundle) / 1e6 for bundle in bundles]),
            "MB",
        ),
    ]


class Took(NamedTuple):
    """Milliseconds from when a call was due to its answer."""

    whole: float
    own: float
    """Without the time in which the thread could have gone on, had there been a processor."""


def waited_for_processor() -> float:
    """For how many milliseconds in all this thread stood in line, as Linux counts it."""
    stat = Path(f"/proc/self/task/{threading.get_native_id()}/schedstat")
    return int(stat.read_text().split()[1]) / 1e6


class Stream:
    """Calls that come whether the last one is answered or not."""

    def __init__(self, server: Server, size: Size) -> None:
        self._server = server
        self._catalog = server.catalogs.of(SHOP)
        self._did = history(size, self._catalog)
        self._when = QUIET
        self.took: dict[str, list[Took]] = {QUIET: [], EXCHANGING: [], ELSEWHERE: [], SHADOW: []}
        """Calls, by what went on beside them."""

    async def run(self) -> None:
        """Call until cancelled."""
        due = time.perf_counter()
        while True:
            due += 1 / CALLS_A_SECOND
            waited = waited_for_processor()
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            self._server.answering.made(SHOP, "u:ana", "home", self._make, self._make)
            late = (time.perf_counter() - due) * 1e3
            took = Took(late, max(0.0, late - (waited_for_processor() - waited)))
            self.took[self._when].append(took)

    def _make(self, model: Model) -> Answer:
        return call(model, self._catalog, self._did)

    async def shadowed(self, version: str, *, seconds: float) -> None:
        """Have a model in the shadow for so long."""
        await asyncio.to_thread(self._server.change, partial(shadow, version=version, sample=1.0))

        async def there() -> bool:
            return self._server.shelf.of(SHOP).shadow is not None

        await eventually_async(there, within=300)
        self._when = SHADOW
        await asyncio.sleep(seconds)
        self._when = QUIET

    async def exchange(self, version: str) -> float:
        """Have another model take over; answers after how many seconds it has."""
        self._when, started = EXCHANGING, time.perf_counter()
        await asyncio.to_thread(self._server.promote, version)

        async def over() -> bool:
            return self._server.shelf.of(SHOP).served.version == version

        await eventually_async(over, within=300)
        self._when = QUIET
        return time.perf_counter() - started

    async def beside(self, other: asyncio.subprocess.Process, bundle: Path) -> None:
        """Have another process load a bundle."""
        assert other.stdin is not None
        assert other.stdout is not None
        self._when = ELSEWHERE
        other.stdin.write(f"{bundle}\n".encode())
        await other.stdin.drain()
        await other.stdout.readline()
        self._when = QUIET


@asynccontextmanager
async def other_process() -> AsyncIterator[asyncio.subprocess.Process]:
    """A process that loads what it is told."""
    pipe = asyncio.subprocess.PIPE
    other = await asyncio.create_subprocess_exec(
        sys.executable, "-c", LOADING, stdin=pipe, stdout=pipe, cwd=report.ROOT
    )
    assert other.stdin is not None
    assert other.stdout is not None
    await other.stdout.readline()
    try:
        yield other
    finally:
        other.stdin.close()
        await other.wait()


def megabytes() -> float:
    """What this process holds."""
    return float(psutil.Process().memory_info().rss / 1e6)


def latencies(size: Size, took: Sequence[Took], *, when: str) -> Iterator[Row]:
    whole, own = [each.whole for each in took], [each.own for each in took]
    for name, found, share in (
        ("", whole, 50),
        ("", whole, 99),
        (", not counting waits for a processor", own, 99),
    ):
        value = float(np.percentile(found, share))
        measure = f"{size.name}: {share} % of calls {when}{name}"
        yield Row(measure, value, "ms", (min(found), max(found)))
