"""Buying again and buying for the first time: what a product's score gains by either.

A shop's customers come back for some products and never for others, after days or after
months, and mostly to what they bought often (Anderson et al., "The Dynamics of Repeat
Consumption", WWW 2014; Bhagat et al., "Buy It Again", KDD 2018). For a product among the
shopper's purchases, bought c times and last r days ago,

::

    query · vᵢ  gains  score[b(c)][b(r)] + again[i]

where b is how many of the ascending bounds are reached, so k bounds make k + 1 buckets. Every
other product gains ``first[i]``.

``repeat.json`` holds the table::

    {"counts": [2, 5], "recency_days": [7], "score": [[1, .5], [2, 1], [4, 3]],
     "again": "…", "first": "…"}

``again`` and ``first`` are base64 of one little-endian float16 for each row of the vocabulary,
padding counted; "" stands for zeros. :mod:`model_export.training.repeat` learns the table,
:mod:`model_export.training.blend` scales it; a score of :data:`MASKED` says: never again.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from services.shared.bundle_files import read_json
from services.shared.errors import BundleRefused
from services.shared.item_vectors import Floats, scattered
from services.shared.model_input import PURCHASE

DAY: Final = 86_400_000_000
"""In microseconds."""

MOST_BUCKETS: Final = 1_000
GREATEST: Final = 1e6
MASKED: Final = -GREATEST
"""The score of what is not to be bought again: below whatever a model gives."""

NUMBER: Final = np.dtype("<f2")
"""Of ``again`` and ``first``."""


class RepeatTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """See the module; n products with padding."""

    counts: tuple[float, ...]
    recency_days: tuple[float, ...]
    score: tuple[tuple[float, ...], ...]
    """[len(counts) + 1][len(recency_days) + 1]."""
    again: bytes = b""
    """[n] float16: the product's own part, if bought before."""
    first: bytes = b""
    """[n] float16: the product's own part, if not."""


class Bought(NamedTuple):
    """The products bought in a history, ascending, each once."""

    products: NDArray[np.integer]
    counts: NDArray[np.int64]
    """How often each was bought: lines, not pieces."""
    days: NDArray[np.float64]
    """How long ago it was last bought."""


def bought_before(
    items: NDArray[np.integer], actions: NDArray[np.integer], at: NDArray[np.int64], now: int
) -> Bought:
    """What a history [h] says of buying again; one function to learn from and to serve with.

    ``at`` and ``now`` are microseconds; a purchase dated after ``now`` counts as made now, so
    that a clock that runs ahead gains nothing by it.
    """
    bought = np.flatnonzero(actions == PURCHASE)
    bought = bought[np.argsort(items[bought], kind="stable")]
    found = items[bought]
    if not len(found):
        return Bought(found, np.zeros(0, dtype=np.int64), np.zeros(0))
    starts = np.flatnonzero(found[1:] != found[:-1]) + 1
    ends = np.append(starts, len(found))
    starts = np.append(0, starts)
    last = np.maximum.reduceat(at[bought], starts)
    return Bought(found[starts], ends - starts, np.maximum(now - last, 0) / DAY)


def buckets(numbers: NDArray[np.number], bounds: Sequence[float]) -> NDArray[np.int64]:
    """How many of the ascending ``bounds`` each number reaches: 0 to len(bounds)."""
    return np.searchsorted(np.asarray(bounds, dtype=np.float64), numbers, side="right")


def repeat_scores(
    table: RepeatTable,
    items: NDArray[np.integer],
    actions: NDArray[np.integer],
    at: NDArray[np.int64],
    now: int,
) -> tuple[NDArray[np.integer], Floats]:
    """The products bought in a history [h], each once, and what each gains.

    ``items`` are rows of the vocabulary. See :func:`bought_before` for the times.
    """
    products, counts, days = bought_before(items, actions, at, now)
    score = np.asarray(table.score, dtype=np.float32)
    gains: Floats = score[buckets(counts, table.counts), buckets(days, table.recency_days)]
    if table.again:
        gains = gains + np.frombuffer(table.again, NUMBER)[products].astype(np.float32)
    return products, gains


def first_scores(table: RepeatTable) -> Floats | None:
    """What each product [n] gains that the shopper has not bought; None where none gains."""
    return np.frombuffer(table.first, NUMBER).astype(np.float32) if table.first else None


def numbers(found: NDArray[np.floating]) -> bytes:
    """``again`` or ``first`` of a table: one number for each product, padding counted."""
    return found.astype(NUMBER).tobytes()


def table_in_rows(table: RepeatTable, rows: NDArray[np.integer], size: int) -> RepeatTable:
    """The same table with product i at ``rows`` [n] i of ``size``, and nothing for the rest."""

    def moved(data: bytes) -> bytes:
        return scattered(np.frombuffer(data, NUMBER), rows, size).tobytes() if data else b""

    return msgspec.structs.replace(table, again=moved(table.again), first=moved(table.first))


def read_repeat(path: Path, rows: int) -> RepeatTable:
    """The table for ``rows`` products, padding counted. Raises BundleRefused."""
    table = read_json(path, RepeatTable)
    for name in ("counts", "recency_days"):
        _check_bounds(path, name, getattr(table, name))
    shape = (len(table.counts) + 1, len(table.recency_days) + 1)
    widths = {len(row) for row in table.score}
    if len(table.score) != shape[0] or widths != {shape[1]}:
        raise BundleRefused(f"{path}: score must have {shape[0]} rows of {shape[1]} numbers")
    if not all(abs(number) <= GREATEST for row in table.score for number in row):
        raise BundleRefused(f"{path}: score has a number that is not within ±{GREATEST:g}")
    for name in ("again", "first"):
        _check_numbers(path, name, getattr(table, name), rows)
    return table


def _check_bounds(path: Path, name: str, bounds: Sequence[float]) -> None:
    rising = all(low < high for low, high in itertools.pairwise(bounds))
    if not rising or not all(map(math.isfinite, bounds)) or len(bounds) > MOST_BUCKETS:
        raise BundleRefused(
            f"{path}: {name} must rise, be finite and have at most {MOST_BUCKETS} bounds"
        )


def _check_numbers(path: Path, name: str, data: bytes, rows: int) -> None:
    if not data:
        return
    if len(data) != rows * NUMBER.itemsize:
        raise BundleRefused(
            f"{path}: {name} has {len(data)} bytes, expected {rows * NUMBER.itemsize}: two for "
            f"each of {rows} products, padding counted"
        )
    if not np.isfinite(np.frombuffer(data, NUMBER)).all():
        raise BundleRefused(f"{path}: {name} has a number that is not finite")
