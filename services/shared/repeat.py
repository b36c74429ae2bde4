"""Buying again: what a product's score gains from how often, and how long ago, it was bought.

``repeat.json`` is a learned table. A product that the shopper bought c times, last r days ago,
gets ``score[b(c)][b(r)]`` added; b is how many of the ascending bounds are reached, so k bounds
make k + 1 buckets::

    {"counts": [2, 5], "recency_days": [7], "score": [[1, .5], [2, 1], [4, 3]]}
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from services.shared.bundle_files import read_json
from services.shared.errors import BundleRefused
from services.shared.item_vectors import Floats
from services.shared.model_input import PURCHASE

DAY: Final = 86_400_000_000
"""In microseconds."""

MOST_BUCKETS: Final = 1_000


class RepeatTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """See the module."""

    counts: tuple[float, ...]
    recency_days: tuple[float, ...]
    score: tuple[tuple[float, ...], ...]
    """[len(counts) + 1][len(recency_days) + 1]."""


def repeat_scores(
    table: RepeatTable,
    items: NDArray[np.int32],
    actions: NDArray[np.int64],
    at: NDArray[np.int64],
    now: int,
) -> tuple[NDArray[np.int32], Floats]:
    """The products bought in a history [h], each once, and what each gains.

    ``at`` and ``now`` are microseconds; a purchase dated after ``now`` counts as made now, so
    that a clock that runs ahead gains nothing by it.
    """
    bought = actions == PURCHASE
    products, place, counts = np.unique(items[bought], return_inverse=True, return_counts=True)
    last = np.full(len(products), np.iinfo(np.int64).min)
    np.maximum.at(last, place, at[bought])
    days = np.maximum(now - last, 0) / DAY
    often = np.searchsorted(np.asarray(table.counts), counts, side="right")
    lately = np.searchsorted(np.asarray(table.recency_days), days, side="right")
    return products, np.asarray(table.score, dtype=np.float32)[often, lately]


def read_repeat(path: Path) -> RepeatTable:
    """The table. Raises BundleRefused."""
    table = read_json(path, RepeatTable)
    for name in ("counts", "recency_days"):
        _check_bounds(path, name, getattr(table, name))
    shape = (len(table.counts) + 1, len(table.recency_days) + 1)
    widths = {len(row) for row in table.score}
    if len(table.score) != shape[0] or widths != {shape[1]}:
        raise BundleRefused(f"{path}: score must have {shape[0]} rows of {shape[1]} numbers")
    if not all(math.isfinite(number) for row in table.score for number in row):
        raise BundleRefused(f"{path}: score has a number that is not finite")
    return table


def _check_bounds(path: Path, name: str, bounds: Sequence[float]) -> None:
    rising = all(low < high for low, high in itertools.pairwise(bounds))
    if not rising or not all(map(math.isfinite, bounds)) or len(bounds) > MOST_BUCKETS:
        raise BundleRefused(
            f"{path}: {name} must rise, be finite and have at most {MOST_BUCKETS} bounds"
        )
