"""Candidates of one source, and how those that are shown are chosen from them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.recommendations.domain.answer import Pick, Source
from services.recommendations.domain.catalog import Catalog
from services.recommendations.domain.ranking import HIDDEN, Ranked, best
from services.recommendations.domain.rerank import POOL, Caps, Kinds, diverse
from services.shared.item_vectors import Floats

Explain = Callable[[Sequence[Ranked]], list[Pick]]
Directions = Callable[[NDArray[np.intp]], Floats]
"""Rows [k] → vectors [k, d] at length 1; zeros where there is none."""

LEAST_SPAN: Final = 1e-6
"""Of a source whose products all score the same, so that a boost still tells."""


class Candidates(NamedTuple):
    """Products that a source would show, and why."""

    source: Source
    scores: Floats
    """[rows] of the whole catalogue, or [k] of ``rows``; hidden ones are minus infinity. The
    caller's own to change."""
    average: float
    """What an average product scores: boosts are parts of the way from there to the best."""
    explain: Explain
    rows: NDArray[np.intp] | None = None
    """[k] the products that it is about, each once; None for all."""
    by_model: bool = False
    """Whether the model ordered them."""


class Lift(NamedTuple):
    """A boost that applies: which products, and by how much of the way."""

    mask: NDArray[np.bool_]
    """[rows]."""
    by: float


class Rules(NamedTuple):
    """What acts on the candidates of every source alike."""

    allowed: NDArray[np.bool_]
    """[rows] what may be shown: for sale, and through the filters."""
    lifts: Sequence[Lift]
    strength: float
    """Of variety."""
    caps: Caps
    exposure: Callable[[Sequence[Ranked], float], Sequence[Ranked]] | None = None
    """Lifts merchants who are shown too little within a pool, by parts of a span."""


def chosen(
    candidates: Candidates,
    rules: Rules,
    catalog: Catalog,
    directions: Directions,
    *,
    excluded: set[int],
    limit: int,
) -> list[Ranked]:
    """The ``limit`` products to show, best first; ties by product id."""
    scores, rows = candidates.scores, candidates.rows
    allowed = rules.allowed if rows is None else rules.allowed[rows]
    np.copyto(scores, HIDDEN, where=~allowed)
    if rows is None:
        scores[list(excluded)] = HIDDEN
    elif excluded:
        scores[np.isin(rows, list(excluded))] = HIDDEN
    span = 0.0
    if rules.lifts or rules.exposure is not None:
        span = _span(scores, candidates.average)
    for mask, by in rules.lifts:
        np.add(
            scores, np.float32(by * span), out=scores, where=mask if rows is None else mask[rows]
        )
    name = catalog.product_id if rows is None else _named(catalog, rows)
    pool: Sequence[Ranked] = best(scores, limit * POOL, name)
    if rows is not None:
        pool = [Ranked(int(rows[place]), score) for place, score in pool]
    if rules.exposure is not None:
        pool = rules.exposure(pool, span)
    return varied(pool, directions, catalog, rules, limit=limit)


def _span(scores: Floats, average: float) -> float:
    """How far it is from the average product to the best one that may be shown."""
    greatest = float(scores.max(initial=HIDDEN))
    return max(greatest - average, LEAST_SPAN) if greatest > HIDDEN else LEAST_SPAN


def _named(catalog: Catalog, rows: NDArray[np.intp]) -> Callable[[int], str]:
    return lambda place: catalog.product_id(int(rows[place]))


def varied(
    pool: Sequence[Ranked], directions: Directions, catalog: Catalog, rules: Rules, *, limit: int
) -> list[Ranked]:
    """Choose ``limit`` of a ranked pool, by the rules' variety."""
    if len(pool) <= limit:
        return list(pool)
    rows = np.array([row for row, _ in pool], dtype=np.intp)
    products = catalog.products
    kinds = Kinds(
        category=products.paths.codes[rows] if rules.caps.category < 1 else None,
        brand=products.brands.codes[rows] if rules.caps.brand < 1 else None,
        merchant=products.merchants.codes[rows] if rules.caps.merchant < 1 else None,
    )
    return diverse(
        pool, directions(rows), kinds, limit=limit, strength=rules.strength, caps=rules.caps
    )
