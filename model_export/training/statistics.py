"""What one pass over a prepared data set tells of its training part."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from model_export.dataset import TRAIN, Content, Ids, Interactions
from services.shared.model_input import TARGETS

LONGEST: Final = 10_000
"""Longer histories count as this long."""


class Statistics(msgspec.Struct, frozen=True):
    """Figures of what is learned from, from which settings are derived."""

    users: int
    """With two interactions or more."""
    items: int
    """That somebody turned to."""
    interactions: int
    long_history: int
    """99 of 100 histories are no longer."""
    repeats: float
    """Share of the interactions whose item stands earlier in the same history."""
    has_content: bool


def statistics(
    shards: Sequence[Interactions], ids: Ids, content: Content | None, *, part: int = TRAIN
) -> tuple[Statistics, NDArray[np.int64]]:
    """The figures of the parts up to ``part``, and how often each item [items] was turned to."""
    counts = np.zeros(len(ids.items), dtype=np.int64)
    lengths = np.zeros(LONGEST + 1, dtype=np.int64)
    repeats = 0
    for shard in shards:
        rows = (shard.parts <= part) & np.isin(shard.actions, TARGETS)
        users, items = shard.users[rows].astype(np.int64), shard.items[rows]
        counts += np.bincount(items, minlength=len(counts))
        _, each = np.unique(users, return_counts=True)
        lengths += np.bincount(np.minimum(each, LONGEST), minlength=LONGEST + 1)
        repeats += len(items) - len(np.unique(users * len(counts) + items))
    whole = int(counts.sum())
    histories = np.cumsum(lengths)
    found = Statistics(
        users=int(lengths[2:].sum()),
        items=int(np.count_nonzero(counts)),
        interactions=whole,
        long_history=int(np.searchsorted(histories, 0.99 * histories[-1])),
        repeats=round(repeats / max(1, whole), 4),
        has_content=content is not None,
    )
    return found, counts
