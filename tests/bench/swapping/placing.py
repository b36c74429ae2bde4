"""Tables put into the catalogue's rows once, beside scores that are gathered at each call."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random

import numba
import numpy as np
from numpy.typing import NDArray

from services.recommendations.adapters.model import Model, model_in_rows, model_of, prove
from services.recommendations.adapters.model_shelf import InShadow, ModelShelf, OnCanary, Shelved
from services.recommendations.answering import Answering
from services.recommendations.domain.answer import Answer, Cause, Source
from services.recommendations.domain.catalog import Catalog
from services.recommendations.domain.serving import Canary, Shadow
from services.recommendations.shadowing import Shadowing
from tests.bench.report import Row
from tests.bench.swapping.measuring import SHOP, call, history, milliseconds, row
from tests.large_bundle import Size


@numba.njit(nogil=True)
def gather(
    scores: NDArray[np.float32], places: NDArray[np.int32], out: NDArray[np.float32]
) -> None:
    """Scores in the order of the catalogue's rows: what a call would do instead."""
    for place in range(len(places)):
        out[place] = scores[places[place]]


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
