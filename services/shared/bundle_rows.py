"""A bundle's products in other rows than the bundle has them in.

A server keeps what it knows of products by row, and scores are wanted in the same rows. The rows
outlive a model: the next one has learned other products, in another order. So when a model is
loaded, its tables are put into the server's rows, once; to gather the scores at each call instead
would cost 0.4 to 1.4 ms at a million products (docs/decisions/0037).

Rows of which the model has learned nothing are *gaps*. Vectors, codes, popularity and the tables of
the blend are zeros there, so that the score of a gap is 0 whatever the query, but it means nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.shared.bundle import Bundle
from services.shared.bundle_settings import ModelSettings
from services.shared.item_vectors import ItemVectors, scattered
from services.shared.neighbours import Neighbours
from services.shared.repeat import RepeatTable, table_in_rows


@dataclass(frozen=True, slots=True)
class InRows:
    """What a bundle says of products, by row; ``size`` rows, of which 0 is padding."""

    settings: ModelSettings
    item_vectors: ItemVectors
    popularity: NDArray[np.int32]
    """[size] purchases."""
    neighbours: Neighbours | None
    repeat: RepeatTable | None
    gaps: NDArray[np.intp]
    """The rows of which the model has learned nothing, ascending; padding is none of them."""


def in_rows(bundle: Bundle, rows: NDArray[np.integer], size: int) -> InRows:
    """The bundle's n products, padding counted, at ``rows`` [n] of ``size``.

    Each row may stand once, and ``rows[0]`` must be 0: padding stays where it is.
    """
    is_gap = np.ones(size, dtype=np.bool_)
    is_gap[rows] = False
    neighbours, repeat = bundle.neighbours, bundle.repeat
    return InRows(
        settings=bundle.settings,
        item_vectors=bundle.item_vectors.in_rows(rows, size),
        popularity=scattered(bundle.popularity, rows, size),
        neighbours=None if neighbours is None else neighbours.in_rows(rows, size),
        repeat=None if repeat is None else table_in_rows(repeat, rows, size),
        gaps=np.flatnonzero(is_gap),
    )


def as_it_is(bundle: Bundle) -> InRows:
    """The bundle's products in the bundle's own rows, without a copy."""
    return InRows(
        settings=bundle.settings,
        item_vectors=bundle.item_vectors,
        popularity=bundle.popularity,
        neighbours=bundle.neighbours,
        repeat=bundle.repeat,
        gaps=np.zeros(0, dtype=np.intp),
    )
