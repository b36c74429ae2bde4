"""The ways of choosing a list that are compared, and what a call of each takes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np

from model_export.evaluation.metrics import TOP
from services.recommendations.domain.ranking import Ranked
from services.recommendations.domain.rerank import POOL, Caps, Kinds, diverse
from services.recommendations.domain.scenario import READY
from services.shared.item_vectors import Floats
from tests.bench.diversity.determinantal import determinantal
from tests.bench.diversity.shop import Asked, Lists, Pool, Shop

MMR: Final = "MMR"
DPP: Final = "DPP"
BEFORE: Final = "caps alone"
SERVED: Final = "as served"
RUNS: Final = 5
CALLS: Final = 400
UNCAPPED: Final = Caps()
_HOME: Final = READY["home"].variety
SERVED_STRENGTH: Final = _HOME.strength
SERVED_CAPS: Final = Caps(_HOME.category, _HOME.brand, _HOME.merchant)

Choose = Callable[[Sequence[Ranked], Floats, Kinds], list[Ranked]]


class Arm(NamedTuple):
    """One way, with the strength that it has."""

    method: str
    strength: float
    choose: Choose


def relevant(strength: float, caps: Caps = UNCAPPED) -> Choose:
    """The product's way."""

    def choose(pool: Sequence[Ranked], directions: Floats, kinds: Kinds) -> list[Ranked]:
        return diverse(pool, directions, kinds, limit=TOP, strength=strength, caps=caps)

    return choose


def probable(strength: float) -> Choose:
    """The control's."""

    def choose(pool: Sequence[Ranked], directions: Floats, _kinds: Kinds) -> list[Ranked]:
        return determinantal(pool, directions, limit=TOP, strength=strength)

    return choose


def curve(method: str, strengths: Sequence[float]) -> list[Arm]:
    """One of the two without caps, from 0 up."""
    of = {MMR: relevant, DPP: probable}[method]
    return [Arm(method, strength, of(strength)) for strength in strengths]


def capped() -> list[Arm]:
    """What was served before there was a strength, and what is served now."""
    return [
        Arm(BEFORE, 0, relevant(0, SERVED_CAPS)),
        Arm(SERVED, SERVED_STRENGTH, relevant(SERVED_STRENGTH, SERVED_CAPS)),
    ]


def lists_of(shop: Shop, asked: Asked, arm: Arm, size: int = POOL * TOP) -> Lists:
    """[C, 10] what an arm chooses for all cases of a question, from pools of ``size``."""
    found = [
        [each.row for each in arm.choose(pool, directions, kinds)]
        for pool, directions, kinds in given(shop, asked.pools, size)
    ]
    return np.array(found, dtype=np.int64)


def given(
    shop: Shop, pools: Sequence[Pool], size: int
) -> Iterator[tuple[list[Ranked], Floats, Kinds]]:
    """What a server has when it chooses."""
    for pool in pools:
        rows = pool.rows[:size]
        yield pool.ranked(size), shop.vectors.directions(rows), shop.kinds_of(rows)


def microseconds(shop: Shop, asked: Asked, arm: Arm, size: int) -> list[float]:
    """Processor time a call in each of a few runs over the same pools, nothing looked up."""
    told = list(given(shop, asked.pools[:CALLS], size))
    found = []
    for _ in range(RUNS):
        begun = time.process_time()
        for each in told:
            arm.choose(*each)
        found.append(1e6 * (time.process_time() - begun) / len(told))
    return found
