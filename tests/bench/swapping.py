"""What exchanging a model costs those who call meanwhile: ``make bench-swapping``.

Two bundles of made-up products take turns under a stream of calls in the same process: each reads a
history, scores all products and ranks them. The second has other products, in another order. Beside
it what was chosen against: gathering the scores into the catalogue's rows at each call.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from random import Random
from typing import Final

import numba
import numpy as np
import psutil
import structlog
import uvloop
from numpy.typing import NDArray

from services.recommendations.adapters.bundle_cache import BundleCache
from services.recommendations.adapters.model import Model, model_in_rows, model_of, prove
from services.recommendations.adapters.model_keeping import ModelKeeper
from services.recommendations.adapters.model_loading import ModelLoader, expected_bytes
from services.recommendations.adapters.model_shelf import InShadow, ModelShelf, OnCanary, Shelved
from services.recommendations.adapters.model_watching import ModelWatch
from services.recommendations.adapters.registry import Registry
from services.recommendations.answering import Answering
from services.recommendations.domain.answer import Answer, Cause, Source
from services.recommendations.domain.catalog import Catalog
from services.recommendations.domain.catalogs import Catalogs
from services.recommendations.domain.personal import spread
from services.recommendations.domain.ranking import HIDDEN, best
from services.recommendations.domain.serving import Canary, Shadow
from services.recommendations.domain.transitions import promote, publish
from services.recommendations.shadowing import Shadowing
from services.shared.archive_storage import LocalStorage
from services.shared.model_input import PURCHASE, Interaction, Vocabulary
from tests.bench import report
from tests.bench.report import Row
from tests.large_bundle import Size, made
from tests.waiting import eventually_async

HISTORY: Final = 20
CALLS_A_SECOND: Final = 50.0
QUIET_SECONDS: Final = 4.0
SHOP: Final = "demo"


SIZES: Final = (Size("100 k vectors", 100_000, False), Size("1 M codes", 1_000_000, True))


def main() -> None:
    """Measure, and publish."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.swapping", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="100 k products, fewer exchanges")
    quick = parser.parse_args().quick
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as name:
        for size in SIZES[:1] if quick else SIZES:
            folders = [made(Path(name) / f"{size.products}-{seed}", size, seed) for seed in (0, 1)]
            rows += placing(size, folders)
            rows += uvloop.run(exchanging(size, folders, 4 if quick else 10))
    rows += on_trial()
    report.publish("swapping", rows)


def call(model: Model, catalog: Catalog, did: Sequence[Interaction]) -> None:
    """What a call does with a model: read, score, rank."""
    reading = model.read(did, 10**12)
    assert reading is not None
    scores = spread(reading.scores, model.learned, catalog.rows)
    np.copyto(scores, HIDDEN, where=~catalog.available[: catalog.rows])
    best(scores, 50, catalog.product_id)


def history(size: Size, catalog: Catalog) -> list[Interaction]:
    """Products that both bundles have."""
    first = size.products // 100 + 1
    return [
        Interaction(place * 10**6, catalog.product_id(first + 3 * place), PURCHASE)
        for place in range(HISTORY)
    ]


@numba.njit(nogil=True)
def gather(
    scores: NDArray[np.float32], places: NDArray[np.int32], out: NDArray[np.float32]
) -> None:
    """Scores in the order of the catalogue's rows: what a call would do instead."""
    for row in range(len(places)):
        out[row] = scores[places[row]]


def milliseconds(what: Callable[[], object], times: int) -> tuple[float, float, float]:
    """The median, the least and the greatest."""
    what()
    took = []
    for _ in range(times):
        started = time.perf_counter()
        what()
        took.append((time.perf_counter() - started) * 1e3)
    return float(np.median(took)), min(took), max(took)


def row(
    measure: str, found: tuple[float, float, float], unit: str, aim: float | None = None
) -> Row:
    return Row(measure, found[0], unit, found[1:], aim=aim)


def placing(size: Size, folders: Sequence[Path]) -> Iterator[Row]:
    """A call in the model's own rows and in others, and what gathering would add to it."""
    started = time.process_time()
    first = prove(folders[0])
    spent = time.process_time() - started
    yield Row(f"{size.name}: proving, processor time", spent, "s", (spent, spent))
    catalog = Catalog(first.bundle.vocabulary)
    catalog.available[1:] = True
    did = history(size, catalog)
    plain, second = model_of(first, catalog.vocabulary), prove(folders[1])
    rows = np.array([0, *catalog.take_rows(second.bundle.vocabulary)])
    catalog.available[1 : catalog.rows] = True

    def put() -> Model:
        return model_in_rows(second, rows, catalog.known_row, int(rows.max()) + 1)

    yield row(f"{size.name}: putting tables into rows, once", milliseconds(put, 5), "ms")
    moved = put()
    for name, model in (("its own", plain), ("the catalogue's", moved)):
        took = milliseconds(lambda: call(model, catalog, did), 60)  # noqa: B023 - called at once
        yield row(f"{size.name}: a call in {name} rows", took, "ms")
    scores = np.zeros(len(rows), dtype=np.float32)
    out = np.empty(len(rows), dtype=np.float32)
    for name, places in (("another", rows), ("the same", np.arange(len(rows)))):
        order = (places % len(rows)).astype(np.int32)
        took = milliseconds(lambda: gather(scores, order, out), 60)  # noqa: B023 - called at once
        yield row(f"{size.name}: gathering instead, {name} order", took, "ms")


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

    def change(self, transition: Callable[..., object]) -> None:
        self.registry.change(SHOP, transition, who="bench", what="bench", why="")  # type: ignore[arg-type]  # a partial of a transition

    def promote(self, version: str) -> None:
        self.change(partial(promote, version=version))


async def exchanging(size: Size, bundles: Sequence[Path], times: int) -> list[Row]:
    """Calls at a steady rate, and models that take turns meanwhile."""
    with tempfile.TemporaryDirectory() as name:
        server = Server(Path(name), bundles)
        following = asyncio.create_task(server.watch.run())
        await server.watch.settled()
        server.catalogs.of(SHOP).available[1:] = True
        gc.collect()
        gc.freeze()
        memory = [megabytes()]
        stream = Stream(server, size)
        calling = asyncio.create_task(stream.run())
        seconds = []
        for turn in range(1, times + 1):
            await asyncio.sleep(QUIET_SECONDS)
            seconds.append(await stream.exchange(f"v{turn % 2}"))
            memory.append(megabytes())
        for task in (calling, following):
            task.cancel()
    judged = [expected_bytes(bundle) / 1e6 for bundle in bundles]
    return [
        *latencies(size, stream.took[False], when="otherwise"),
        *latencies(size, stream.took[True], when="while models are exchanged"),
        row(f"{size.name}: an exchange", of_runs(seconds), "s"),
        row(f"{size.name}: memory with one model", of_runs(memory[:1]), "MB"),
        row(f"{size.name}: memory after an exchange", of_runs(memory[1:]), "MB"),
        row(f"{size.name}: a model's memory as it is judged", of_runs(judged), "MB"),
    ]


class Stream:
    """Calls that come whether the last one is answered or not."""

    def __init__(self, server: Server, size: Size) -> None:
        self._server = server
        self._catalog = server.catalogs.of(SHOP)
        self._did = history(size, self._catalog)
        self._is_exchanging = False
        self.took: dict[bool, list[float]] = {False: [], True: []}
        """Milliseconds from when a call was due to its answer, by whether models change."""

    async def run(self) -> None:
        """Call until cancelled."""
        due = time.perf_counter()
        while True:
            due += 1 / CALLS_A_SECOND
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            call(self._server.shelf.of(SHOP).served, self._catalog, self._did)
            self.took[self._is_exchanging].append((time.perf_counter() - due) * 1e3)

    async def exchange(self, version: str) -> float:
        """Have another model take over; answers after how many seconds it has."""
        self._is_exchanging, started = True, time.perf_counter()
        await asyncio.to_thread(self._server.promote, version)

        async def over() -> bool:
            return self._server.shelf.of(SHOP).served.version == version

        await eventually_async(over, within=300)
        self._is_exchanging = False
        return time.perf_counter() - started


def megabytes() -> float:
    """What this process holds."""
    return float(psutil.Process().memory_info().rss / 1e6)


def of_runs(found: Sequence[float]) -> tuple[float, float, float]:
    return float(np.median(found)), min(found), max(found)


def latencies(size: Size, took: Sequence[float], *, when: str) -> Iterator[Row]:
    for share in (50, 99):
        value = float(np.percentile(took, share))
        yield Row(f"{size.name}: {share} % of calls {when}", value, "ms", (min(took), max(took)))


def on_trial() -> Iterator[Row]:
    """What choosing and counting add to a call."""
    model = Model.__new__(Model)
    model.version = "a"
    shelf = ModelShelf((SHOP,))
    answering = Answering(shelf, Shadowing(shelf), random=Random(0), clock=time.perf_counter)
    answer = Answer([], Source.PERSONAL, Cause.UNSPECIFIED, by_model=True)
    canary = OnCanary(model, Canary(version="a", share=0.5))
    shadow = InShadow(model, Shadow(version="a", sample=0.1))
    for name, shelved in (
        ("no model is on trial", Shelved(model)),
        ("a canary", Shelved(model, canary)),
        ("a canary and a shadow", Shelved(model, canary, shadow)),
    ):
        shelf.put(SHOP, shelved)

        def many() -> None:
            for number in range(1_000):
                answering.made(SHOP, f"u:{number}", "home", lambda _: answer, lambda _: answer)

        yield row(f"choosing and counting, {name}", milliseconds(many, 20), "µs a call")


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
