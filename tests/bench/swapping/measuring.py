"""What the parts of this bench share: a call, and how often repeated work is told."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from services.recommendations.adapters.model import Model
from services.recommendations.domain.answer import Answer, Cause, Pick, Source
from services.recommendations.domain.catalog import Catalog
from services.recommendations.domain.personal import spread
from services.recommendations.domain.ranking import HIDDEN, best
from services.recommendations.domain.reasons import POPULAR
from services.shared.model_input import PURCHASE, Interaction
from tests.bench.report import Row
from tests.large_bundle import Size

HISTORY: Final = 20
SHOP: Final = "demo"


def call(model: Model, catalog: Catalog, did: Sequence[Interaction]) -> Answer:
    """What a call does with a model: read, score, rank."""
    reading = model.read(did, 10**12)
    assert reading is not None
    scores = spread(reading.scores, model.learned, catalog.rows)
    np.copyto(scores, HIDDEN, where=~catalog.available[: catalog.rows])
    ranked = best(scores, 50, catalog.product_id)
    picks = [Pick(each.row, each.score, POPULAR) for each in ranked[:10]]
    return Answer(picks, Source.PERSONAL, Cause.UNSPECIFIED, by_model=True)


def history(size: Size, catalog: Catalog) -> list[Interaction]:
    """Products that both bundles have."""
    first = size.products // 100 + 1
    return [
        Interaction(place * 10**6, catalog.product_id(first + 3 * place), PURCHASE)
        for place in range(HISTORY)
    ]


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


def of_runs(found: Sequence[float]) -> tuple[float, float, float]:
    return float(np.median(found)), min(found), max(found)
