"""The ruler that all contenders are held to: where the held-out item stands among all items."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tests.bench.accuracy.contract import Figures

TOP: Final = 10
BLOCK: Final = 512
"""Users that are scored at a time: 12,000 items for each are 25 MB."""


def ranks(scores: NDArray[np.float32], targets: NDArray[np.int64]) -> NDArray[np.int64]:
    """The place, from 1, of each row's target in ``scores`` [n, items + 1]; column 0 is no item.

    Among equals the lower column is first. A target of -inf is nowhere: its place is behind
    the last. Raises ``ValueError`` where a score is not a number, as any comparison with it
    would be false and the target first.
    """
    if np.isnan(scores).any():
        raise ValueError("scores hold NaN: training has diverged")
    rows = np.arange(len(scores))
    own = scores[rows, targets][:, None]
    earlier = np.arange(scores.shape[1]) < targets[:, None]
    ahead = (scores > own) | ((scores == own) & earlier)
    ahead[:, 0] = False
    places: NDArray[np.int64] = np.where(np.isneginf(own[:, 0]), scores.shape[1], ahead.sum(1) + 1)
    return places


def mask(scores: NDArray[np.float32], histories: Sequence[NDArray[np.int64]]) -> None:
    """Take what each row's user has already out of ``scores``, in place."""
    for row, seen in zip(scores, histories, strict=True):
        row[seen] = -np.inf


def figures(places: Iterable[NDArray[np.int64]]) -> Figures:
    """Recall@10 and NDCG@10 of the places of all users, with one held-out item each."""
    every = np.concatenate(list(places))
    hits = every <= TOP
    gains = np.where(hits, 1 / np.log2(every + 1), 0.0)
    return Figures(float(hits.mean()), float(gains.mean()))
