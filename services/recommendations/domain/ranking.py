"""Ranking a whole catalogue, exactly.

Every row gets a score; there is no candidate stage that could be wrong. What must not be
shown has the score minus infinity.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

HIDDEN: Final = np.float32(-np.inf)
"""The score of what must not be shown."""

_BLOCKS: Final = 64


class Ranked(NamedTuple):
    """A row of the catalogue and its score; scores compare within one ranking only."""

    row: int
    score: float


def hide(
    scores: NDArray[np.float32], *, available: NDArray[np.bool_], excluded: Iterable[int]
) -> None:
    """Hide, in place, what is not available and the ``excluded`` rows. Both arrays are [n]."""
    np.copyto(scores, HIDDEN, where=~available)
    scores[list(excluded)] = HIDDEN


def best(scores: NDArray[np.float32], count: int, product_id: Callable[[int], str]) -> list[Ranked]:
    """The ``count`` best rows of [n] scores, best first, ties by product id; never hidden ones.

    Exact. A first look at the maxima of n/64 groups of rows gives a threshold that at least
    ``count`` rows reach, which leaves a few rows to sort, where ``np.argpartition`` would
    move all of them.
    """
    threshold = _reached_by(scores, count)
    rows = np.flatnonzero(scores >= threshold) if threshold > HIDDEN else _shown(scores)
    if len(rows) > count:
        rows = _cut(scores, rows, count, product_id)
    values = scores[rows]
    order = np.argsort(-values)
    values = values[order]
    ranked = list(map(Ranked, rows[order].tolist(), values.tolist()))
    if (values[1:] == values[:-1]).any():  # else no product id decides anything
        ranked.sort(key=lambda each: (-each.score, product_id(each.row)))
    return ranked


def _shown(scores: NDArray[np.float32]) -> NDArray[np.intp]:
    return np.flatnonzero(scores > HIDDEN)


def _reached_by(scores: NDArray[np.float32], count: int) -> np.float32:
    """A score that at least ``count`` rows reach, as high as is cheap to find."""
    width = len(scores) // _BLOCKS
    if width < count:
        return HIDDEN
    maxima = scores[: width * _BLOCKS].reshape(_BLOCKS, width).max(axis=0)
    return np.float32(np.partition(maxima, width - count)[width - count])


def _cut(
    scores: NDArray[np.float32],
    rows: NDArray[np.intp],
    count: int,
    product_id: Callable[[int], str],
) -> NDArray[np.intp]:
    """The ``count`` best of ``rows``, of equal ones those with the smallest product ids."""
    values = scores[rows]
    last = np.partition(values, len(values) - count)[len(values) - count]
    above, tied = rows[values > last], rows[values == last]
    chosen = heapq.nsmallest(count - len(above), tied.tolist(), key=product_id)
    return np.concatenate([above, np.array(chosen, dtype=np.intp)])
