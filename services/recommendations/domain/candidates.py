"""Candidates of one source, and how those that are shown are chosen from them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.recommendations.domain.answer import Pick, Source
from services.recommendations.domain.catalog import Catalog
from services.recommendations.domain.ranking import HIDDEN, Ranked, best, hide
from services.recommendations.domain.rerank import POOL, Above, Caps, Kinds, diverse
from services.shared.item_vectors import Floats

Explain = Callable[[Sequence[Ranked]], list[Pick]]
Directions = Callable[[NDArray[np.intp]], Floats]
"""Rows [k] → vectors [k, d] at length 1; zeros where there is none."""
Exposing = Callable[[Sequence[Ranked], float], Sequence[Ranked]]
"""A pool, best first, and how far it is from the average product to the best one → the same
products, ranked anew."""

UNCAPPED: Final = Caps()
REACH: Final = 2
"""How many times its length a pool is ranked in which merchants are lifted. A strong rule has to
take what fits badly from one of its own length, and loses a third less by twice it; more bring
nothing (``tests/bench/exposure.py``)."""
LEAST_SPAN: Final = 1e-4
"""Of a source whose products all score the same, in parts of that score (at least of 1), so that a
boost still tells."""


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
    exposure: Exposing | None = None
    """Lifts merchants who are shown too little within a pool."""


def chosen(
    candidates: Candidates,
    rules: Rules,
    catalog: Catalog,
    directions: Directions,
    *,
    excluded: set[int],
    above: Collection[int] = (),
    limit: int,
) -> list[Ranked]:
    """The ``limit`` products to show, best first; ties by product id.

    ``above`` are the rows that the list has already: they count for its caps.
    """
    scores, rows = candidates.scores, candidates.rows
    if rows is None:
        hide(scores, available=rules.allowed, excluded=excluded)
    else:
        hidden = np.flatnonzero(np.isin(rows, list(excluded)))
        hide(scores, available=rules.allowed[rows], excluded=hidden)
    span = span_of(scores, candidates.average) if rules.lifts or rules.exposure else 0.0
    for mask, by in rules.lifts:
        np.add(
            scores, np.float32(by * span), out=scores, where=mask if rows is None else mask[rows]
        )
    name = catalog.product_id if rows is None else _named(catalog, rows)
    count = limit * POOL
    pool: Sequence[Ranked] = best(scores, REACH * count if rules.exposure else count, name)
    if rows is not None:
        pool = [Ranked(int(rows[place]), score) for place, score in pool]
    if rules.exposure:
        pool = rules.exposure(pool, span)[:count]
    return varied(pool, directions, catalog, rules, above=above, limit=limit)


def span_of(scores: Floats, average: float) -> float:
    """How far apart the average product is and the best one that may be shown."""
    greatest = float(scores.max(initial=HIDDEN))
    if greatest == HIDDEN:
        return LEAST_SPAN
    return max(abs(greatest - average), LEAST_SPAN * max(abs(greatest), 1.0))


def _named(catalog: Catalog, rows: NDArray[np.intp]) -> Callable[[int], str]:
    return lambda place: catalog.product_id(int(rows[place]))


def varied(
    pool: Sequence[Ranked],
    directions: Directions,
    catalog: Catalog,
    rules: Rules,
    *,
    above: Collection[int],
    limit: int,
) -> list[Ranked]:
    """Choose ``limit`` of a ranked pool, by the rules' variety."""
    if len(pool) <= limit or (not rules.strength and rules.caps == UNCAPPED):
        return list(pool[:limit])
    rows = np.array([row for row, _ in pool], dtype=np.intp)
    held = np.fromiter(above, dtype=np.intp, count=len(above))
    return diverse(
        pool,
        directions(rows),
        _kinds(rows, catalog, rules.caps),
        limit=limit,
        strength=rules.strength,
        caps=rules.caps,
        above=Above(len(held), _kinds(held, catalog, rules.caps)),
    )


def _kinds(rows: NDArray[np.intp], catalog: Catalog, caps: Caps) -> Kinds:
    """The kinds of rows [k] that are capped."""
    products = catalog.products
    return Kinds(
        category=products.paths.codes[rows] if caps.category < 1 else None,
        brand=products.brands.codes[rows] if caps.brand < 1 else None,
        merchant=products.merchants.codes[rows] if caps.merchant < 1 else None,
    )
