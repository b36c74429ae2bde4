"""The score of every product for a shopper: written once, used to evaluate and to serve.

::

    query · vᵢ  +  u · again                        of i that was bought before
    query · vᵢ  +  u · first  +  w · Σⱼ decayᵃ · S[j, i]          of any other

v are the item vectors; j are the products of the history, the newest of age a = 0, S is how like
two products are (:mod:`services.shared.neighbours`); what buying again and buying for the first
time are worth says a table (:mod:`services.shared.repeat`); w, decay and u are the bundle's
blend. A bundle without neighbours or a table has the weight 0 and no such term; without a table
all products count as those of the second line.

What was bought is judged by its own history and not, too, by its likeness to the rest of it: on
the Complete Journey's validation week adding both brought NDCG@10 from .244 down to .221.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from services.shared.bundle import Bundle
from services.shared.bundle_rows import InRows
from services.shared.item_vectors import Floats
from services.shared.model_input import IMPRESSION, PURCHASE, Known
from services.shared.repeat import first_scores, repeat_scores


class Scorer:
    """Scores all products of a bundle; holds what the bundle does and changes nothing."""

    def __init__(self, bundle: Bundle | InRows) -> None:
        self._vectors = bundle.item_vectors
        self._neighbours = bundle.neighbours
        self._repeat = bundle.repeat
        self._blend = bundle.settings.blend
        first = first_scores(bundle.repeat) if bundle.repeat is not None else None
        self._first = None if first is None else np.float32(self._blend.repeat) * first
        self._history = bundle.settings.history

    def scores(self, query: Floats, known: Known, now: int) -> Floats:
        """The scores [n] of a shopper with ``query`` [d] who did what is ``known``.

        ``now`` is microseconds since 1970. Row 0 is padding: whatever it has means nothing.
        """
        scores = self._vectors.scores(query)
        self._blend_in(scores, known, now)
        return scores

    def scores_batch(self, queries: Floats, known: Sequence[Known], now: Sequence[int]) -> Floats:
        """:meth:`scores` of B shoppers: [B, n]."""
        scores = self._vectors.scores_batch(queries)
        for row, each, moment in zip(scores, known, now, strict=True):
            self._blend_in(row, each, moment)
        return scores

    def _blend_in(self, scores: Floats, known: Known, now: int) -> None:
        """Add the terms of the blend to ``scores`` [n], in place.

        A search has none, nor has what was only shown.
        """
        counts = (known.items < self._vectors.size) & (known.actions != IMPRESSION)
        whole = Known(known.items[counts], known.actions[counts], known.at[counts])
        items, actions, at = whole.newest(self._history)
        again = None
        if self._repeat is not None:
            bought, gains = repeat_scores(self._repeat, items, actions, at, now)
            again = bought, scores[bought] + np.float32(self._blend.repeat) * gains
        if self._first is not None:
            scores += self._first
        if self._neighbours is not None:
            np.add.at(scores, *self._neighbours.scores(items, self._weights(len(items))))
        if again is not None:
            bought, settled = again
            scores[bought] = settled

    def company(
        self,
        items: NDArray[np.integer],
        actions: NDArray[np.integer],
        rows: NDArray[np.integer],
    ) -> Floats:
        """What each product of a history adds to others by being like them: [k, h].

        ``items`` [h] are those that count in the blend, oldest first, and ``actions`` [h] what was
        done with them; ``rows`` [k] the others, each once. Beyond the bundle's they are like
        nothing; nor does what was bought gain by it, where a table judges that. It is the third
        term of the sum, taken apart.
        """
        added = np.zeros((len(rows), len(items)), dtype=np.float32)
        if self._neighbours is None:
            return added
        near = self._neighbours
        others, terms = near.scores(items, self._weights(len(items)))
        events = np.repeat(np.arange(len(items)), near.starts[items + 1] - near.starts[items])
        asked = np.zeros(self._vectors.size, dtype=np.bool_)
        asked[rows[rows < len(asked)]] = True
        if self._repeat is not None:
            asked[items[actions == PURCHASE]] = False
        hits = np.flatnonzero(asked[others])
        order = np.argsort(rows)
        found = order[np.searchsorted(rows, others[hits], sorter=order)]
        added[found, events[hits]] = terms[hits]
        return added

    def _weights(self, count: int) -> Floats:
        """What each of a history's products counts, by its age."""
        age = np.arange(count)[::-1]
        return (self._blend.neighbours * self._blend.decay**age).astype(np.float32)


def best(scores: NDArray[np.floating], count: int) -> NDArray[np.int64]:
    """The ``count`` greatest of ``scores`` [n], greatest first, ties by index; -inf never."""
    found = np.arange(len(scores))
    if len(scores) > count:
        least = np.partition(scores, len(scores) - count)[len(scores) - count]
        found = np.flatnonzero(scores >= least)
    order = found[np.lexsort((found, -scores[found]))][:count]
    ranked: NDArray[np.int64] = order[scores[order] > -np.inf].astype(np.int64)
    return ranked
