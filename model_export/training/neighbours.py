"""Learns item-kNN: for each product those most like it, by the shoppers they share.

The likeness of two products is the cosine of their sets of shoppers (Sarwar et al., "Item-based
Collaborative Filtering", WWW 2001) with ``shrink`` added to the denominator, which keeps two
products from being alike that one shopper happened to share (Bell and Koren, 2007). Each
product keeps its ``most`` greatest. A product's score is the sum of its likeness to each
interaction of a history.

Memory is bounded, whatever comes in: of each shopper the newest :data:`HISTORY` interactions
count, of shoppers so many that there are :data:`MOST_PAIRS` pairs, and the products of the
sparse matrix with itself are made block by block of at most about :data:`BLOCK` terms.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from model_export.dataset import Interactions
from model_export.evaluation.cases import HISTORY
from services.shared.model_input import TARGETS
from services.shared.neighbours import Neighbours

SHRINK: Final = 20.0
"""Chosen on the validation week of the Complete Journey data."""
MOST: Final = 50
"""On that week 20, 50 and 100 foretell new purchases alike (NDCG@10 .0170, .0173, .0171)."""
MOST_PAIRS: Final = 50_000_000
"""Of a shopper and a product, 8 bytes each. Where there are more, every k-th shopper counts."""
BLOCK: Final = 4_000_000


def learn_neighbours(
    shards: Sequence[Interactions],
    index: NDArray[np.integer],
    *,
    before: int,
    most: int = MOST,
    shrink: float = SHRINK,
) -> Neighbours:
    """Learn from the parts below ``before``.

    ``index`` [items] has the row of each item of the data, 0 for one that is to be left out.
    """
    rows = int(index.max(initial=0)) + 1
    users, items = _pairs(shards, index, before)
    owned = sparse.csr_array(
        (np.ones(len(users), dtype=np.float32), (users, items)),
        shape=(int(users.max(initial=-1)) + 1, rows),
    )
    owners = owned.T.tocsr()
    terms = np.cumsum(owners @ np.diff(owned.indptr), dtype=np.float64)
    norms = np.sqrt(np.diff(owners.indptr))
    found = [
        _block(owners[low:high] @ owned, low, norms, most, shrink) for low, high in _blocks(terms)
    ]
    lengths, others, weights = (np.concatenate(part) for part in zip(*found, strict=True))
    starts = np.concatenate([[0], np.cumsum(lengths)])
    return Neighbours(starts, others, weights)


def _blocks(terms: NDArray[np.float64]) -> Iterator[tuple[int, int]]:
    """Ranges of rows of about :data:`BLOCK` terms; ``terms`` [n] counts them up to each row."""
    low = 0
    while low < len(terms):
        done = terms[low - 1] if low else 0.0
        high = max(low + 1, int(np.searchsorted(terms, done + BLOCK, side="right")))
        yield low, high
        low = high


def _block(
    shared: sparse.csr_array, first: int, norms: NDArray[np.float64], most: int, shrink: float
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32]]:
    """The neighbours of the rows from ``first``: how many each has, then all of them."""
    shared.sort_indices()
    counts = np.diff(shared.indptr)
    row = np.repeat(np.arange(len(counts)), counts)
    others = shared.indices
    cosine = shared.data.astype(np.float64) / (norms[row + first] * norms[others] + shrink)
    keep = others != row + first
    for each in np.flatnonzero(counts > most):
        part = slice(shared.indptr[each], shared.indptr[each + 1])
        keep[part] &= _greatest(np.where(keep[part], cosine[part], 0.0), most)
    lengths = np.bincount(row[keep], minlength=len(counts))
    return lengths, others[keep], cosine[keep].astype(np.float32)


def _greatest(numbers: NDArray[np.float64], most: int) -> NDArray[np.bool_]:
    """Which are the ``most`` greatest of more numbers; of equals the first."""
    least = np.partition(numbers, -most)[-most]
    chosen: NDArray[np.bool_] = numbers > least
    equal = np.flatnonzero(numbers == least)
    chosen[equal[: most - int(chosen.sum())]] = True
    return chosen


def _pairs(
    shards: Sequence[Interactions], index: NDArray[np.integer], before: int
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Each shopper's newest interactions as pairs (shopper, row), each pair once."""
    whole = sum(len(_newest(shard, before)) for shard in shards)
    step = max(1, -(-whole // MOST_PAIRS))
    rows = int(index.max(initial=0)) + 1
    found = [np.zeros(0, dtype=np.int64)]
    for shard in shards:
        newest = _newest(shard, before)
        newest = newest[shard.users[newest] % step == 0]
        items = index[shard.items[newest]]
        pairs = shard.users[newest].astype(np.int64) * rows + items
        found.append(np.unique(pairs[items > 0]))
    users, items = np.divmod(np.concatenate(found), rows)
    return users.astype(np.int32), items.astype(np.int32)


def _newest(shard: Interactions, before: int) -> NDArray[np.int64]:
    """Which rows are among the :data:`HISTORY` newest of their user in the parts below."""
    rows = np.flatnonzero((shard.parts < before) & np.isin(shard.actions, TARGETS))
    users = shard.users[rows]
    later = np.searchsorted(users, users, side="right") - np.arange(len(users))
    return rows[later <= HISTORY]
