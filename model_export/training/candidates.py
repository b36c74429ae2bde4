"""What a blend is chosen on: validation cases, and what each signal says of their candidates.

Scoring a whole catalogue for every weight that is tried would take hours. A case's candidates
are all that its shopper had bought and, of everything else, the :data:`BEST` best by each
signal alone: a product outside of them is among a blend's ten best only if it is mediocre by
every signal and good by their sum.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from model_export.dataset import Interactions, Prepared
from model_export.evaluation.cases import HISTORY, Case
from model_export.evaluation.metrics import most_gain
from model_export.training.first import first_purchases
from model_export.training.neighbours import learn_neighbours
from model_export.training.repeat import Learned, learn_repeat
from services.shared.item_vectors import Floats
from services.shared.model_input import TARGETS
from services.shared.neighbours import Neighbours
from services.shared.repeat import bought_before, buckets

BEST: Final = 100
CHUNK: Final = 64
"""Cases that are scored at once."""

Scores = Callable[[Sequence[Case]], Floats]
"""What the model alone says: cases → [cases, rows]; row 0 is padding and means nothing."""


class Signals(NamedTuple):
    """What was learned beside the model."""

    neighbours: Neighbours
    first: Floats
    """[rows] log(1 + first purchases)."""
    repeat: Learned


class Parts(NamedTuple):
    """C cases with K candidates each; shorter rows are filled up with what nobody could want."""

    model: Floats
    """[C, K]; -inf fills up."""
    neighbours: Floats
    """[C, K] likeness to the history, summed."""
    first: Floats
    """[C, K]"""
    again: Floats
    """[C, K] the table's logarithm; NaN for what was not bought lately."""
    had: NDArray[np.bool_]
    """[C, K] ever bought before."""
    relevant: NDArray[np.bool_]
    """[C, K] in the basket."""
    most: NDArray[np.float64]
    """[C] the best DCG that the basket allows."""
    most_new: NDArray[np.float64]
    """[C] likewise, of its products that are new; 0 where none is."""


def learn_signals(
    shards: Sequence[Interactions],
    index: NDArray[np.integer],
    *,
    before: int,
    days: int | None,
) -> Signals:
    """Learn from the parts below ``before``.

    ``index`` [items] has the row of each item of the data, 0 for one the model does not know.
    ``days`` is the window of popularity; None where the split is by position and not by time.
    """
    first = first_purchases(shards, index, before=before, days=days)
    return Signals(
        neighbours=learn_neighbours(shards, index, before=before),
        first=np.log1p(first).astype(np.float32),
        repeat=learn_repeat(shards, index, before=before, by_time=days is not None),
    )


def parts_of(
    data: Prepared,
    cases: Sequence[Case],
    scores: Scores,
    index: NDArray[np.integer],
    signals: Signals,
) -> Parts:
    """What each signal says of the candidates of ``cases``."""
    shape = len(cases), HISTORY + 3 * BEST
    found = Parts(
        model=np.full(shape, -np.inf, dtype=np.float32),
        neighbours=np.zeros(shape, dtype=np.float32),
        first=np.zeros(shape, dtype=np.float32),
        again=np.full(shape, np.nan, dtype=np.float32),
        had=np.zeros(shape, dtype=bool),
        relevant=np.zeros(shape, dtype=bool),
        most=np.array([most_gain(len(case.relevant)) for case in cases]),
        most_new=np.array([most_gain(len(case.new)) for case in cases]),
    )
    for start in range(0, len(cases), CHUNK):
        chunk = cases[start : start + CHUNK]
        for number, (case, model) in enumerate(zip(chunk, scores(chunk), strict=True), start):
            rows, likes, again = _candidates(data, case, model, index, signals)
            places = number, slice(len(rows))
            found.model[places] = model[rows]
            found.neighbours[places] = likes
            found.first[places] = signals.first[rows]
            found.again[places] = again
            found.had[places] = np.isin(rows, index[case.bought])
            found.relevant[places] = np.isin(rows, index[case.relevant])
    return found


def _candidates(
    data: Prepared, case: Case, model: Floats, index: NDArray[np.integer], signals: Signals
) -> tuple[NDArray[np.int64], Floats, Floats]:
    """A case's candidates: rows, ascending, likeness to the history, the table's part."""
    newest = slice(max(case.before.start, case.before.stop - HISTORY), case.before.stop)
    actions, at = data.actions[newest], data.at[newest]
    known = np.flatnonzero((data.items[newest] < len(index)) & np.isin(actions, TARGETS))
    items = index[data.items[newest][known]]
    known, items = known[items > 0], items[items > 0]
    near, weights = signals.neighbours.scores(items, np.ones(len(items), dtype=np.float32))
    likes = np.bincount(near, weights, minlength=len(model)).astype(np.float32)
    bought = bought_before(items, actions[known], at[known], int(data.at[case.before.stop]))
    outside = np.ones(len(model), dtype=bool)
    outside[bought.products] = outside[0] = False
    best = [_best(part, outside) for part in (model, likes, signals.first)]
    rows = np.unique(np.concatenate([bought.products, *best])).astype(np.int64)
    table = signals.repeat
    cells = buckets(bought.counts, table.counts), buckets(bought.days, table.recency_days)
    again = np.full(len(rows), np.nan, dtype=np.float32)
    again[np.searchsorted(rows, bought.products)] = (
        table.score[cells] + table.again[bought.products]
    )
    return rows, likes[rows], again


def _best(scores: Floats, among: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The :data:`BEST` greatest of ``scores`` [n] that are ``among`` those asked for."""
    count = min(BEST, int(among.sum()))
    if not count:
        return np.zeros(0, dtype=np.int64)
    return np.argpartition(np.where(among, -scores, np.inf), count - 1)[:count]
