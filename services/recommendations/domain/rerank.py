"""A varied list: what differs from the products above it is worth more, and no kind fills it.

Maximal marginal relevance (Carbonell and Goldstein, SIGIR 1998): products are chosen one by
one, each time the one with the most

::

    (1 - strength) · score  -  strength · likeness to the nearest that is chosen

Scores are brought to 0 … 1 within the pool; likeness is the cosine of the item vectors, 0 where
it is below. So ``strength`` runs from 0, by score alone, to 1, as unlike as can be. A product
without a vector counts as unlike everything: nothing says what it repeats, and new products
should be seen.

Beside it, *caps*: no category, brand or merchant has more than its share of the list. What a cap
leaves out comes back, by the same rule, only if the list is not full otherwise. The whole
category path counts ("GROCERY / SOUP" and "GROCERY / TEA" are two).

A list is in the order of choosing, so its first few, which is all that many see, are varied, too.
Greedy, so it is deterministic and easy to explain: a product is missing because better ones
like it are there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import accumulate
from math import ceil
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.recommendations.domain.ranking import HIDDEN, Ranked

POOL: Final = 5
"""How many times its length is ranked before a list is chosen."""

LEAST_SPAN: Final = 1e-30
"""Scores that lie closer together count as equal."""

Floats = NDArray[np.float32]
Codes = NDArray[np.integer]


class Kinds(NamedTuple):
    """Of each of P products the codes [P] of its kinds, 0 where it has none.

    Without an array nothing is known of that kind, and nothing is capped by it.
    """

    category: Codes | None = None
    brand: Codes | None = None
    merchant: Codes | None = None


class Caps(NamedTuple):
    """Which share of a list one category, brand or merchant may have; 1 is no cap."""

    category: float = 1.0
    brand: float = 1.0
    merchant: float = 1.0


class Above(NamedTuple):
    """What stands in the list already, and counts for its caps."""

    number: int = 0
    kinds: Kinds = Kinds()
    """Codes of so many products each."""


NOTHING_ABOVE: Final = Above()


def room(limit: int, share: float) -> int:
    """How many products of one kind a list of ``limit`` may have: rounded up, at least 1."""
    return max(1, ceil(round(limit * share, 6)))


def diverse(
    pool: Sequence[Ranked],
    directions: Floats,
    kinds: Kinds,
    *,
    limit: int,
    strength: float,
    caps: Caps,
    above: Above = NOTHING_ABOVE,
) -> list[Ranked]:
    """Choose ``limit``, at least 1, of the P of ``pool``: best first, ties by product id.

    The very best comes first always, unless a cap is reached ``above``; of products that are worth
    the same, the first of the pool. Caps are shares of the whole list. Scores never rise down the
    list: where a product comes behind a lesser one, it takes that one's score, so that a caller
    who sorts by score keeps the order. ``strength`` 0 and no caps give the first ``limit`` as they
    are. ``directions`` [P, d] are the item vectors at length 1; zeros where there is none.
    """
    if not pool:
        return []
    capped = [
        _Capped(codes, room(above.number + limit, share), held)
        for codes, share, held in zip(kinds, caps, above.kinds, strict=True)
        if codes is not None and share < 1
    ]
    chosen = _chosen(_worth(pool, directions, strength), capped, min(limit, len(pool)))
    scores = accumulate((pool[place].score for place in chosen), min)
    return [Ranked(pool[place].row, score) for place, score in zip(chosen, scores, strict=True)]


class _Capped:
    """One kind of codes [P], and how often each was taken."""

    def __init__(self, codes: Codes, allowed: int, held: Codes | None) -> None:
        """``held`` are the codes of what the list has already."""
        self._codes, self._allowed = codes, allowed
        self._code_of: list[int] = codes.tolist()
        self._taken = Counter([] if held is None else held[held > 0].tolist())

    def full(self) -> NDArray[np.bool_]:
        """[P] which products are left out from the start."""
        reached = [code for code, count in self._taken.items() if count >= self._allowed]
        return np.isin(self._codes, reached) if reached else np.zeros(len(self._codes), np.bool_)

    def take(self, place: int) -> NDArray[np.bool_] | None:
        """Count the product at ``place``; [P] which products are left out from now on, if any."""
        code = self._code_of[place]
        if not code:
            return None
        taken = self._taken[code] = self._taken.get(code, 0) + 1
        return self._codes == code if taken == self._allowed else None


def _worth(pool: Sequence[Ranked], directions: Floats, strength: float) -> Floats:
    """[P, P] what product i is worth, in column i, if the nearest that is chosen is that of row j.

    It is the whole matrix, as that is one call where the rows of a list would be ten.
    """
    scores = np.array([score for _, score in pool])
    span = max(scores[0] - scores[-1], LEAST_SPAN)
    by_score = ((1 - strength) * (scores - scores[-1]) / span).astype(np.float32)
    worth: Floats = directions @ directions.T
    np.maximum(worth, 0, out=worth)
    worth *= np.float32(-strength)
    worth += by_score
    return worth


def _chosen(worth: Floats, capped: Sequence[_Capped], limit: int) -> list[int]:
    """Places in the pool, in the order in which they are chosen; ``limit`` is at most P."""
    full = np.zeros(len(worth), dtype=np.bool_)
    for kind in capped:
        full |= kind.full()
    place = int(full.argmin())
    chosen, value = [place], worth[place].copy()
    value[full] = HIDDEN
    while True:
        for kind in capped:
            left_out = kind.take(place)
            if left_out is not None:
                value[left_out] = HIDDEN
        value[place] = HIDDEN
        if len(chosen) == limit:
            return chosen
        place = int(value.argmax())
        if value[place] == HIDDEN:
            value, capped = worth[chosen].min(axis=0), ()
            value[chosen] = HIDDEN
            place = int(value.argmax())
        chosen.append(place)
        np.minimum(value, worth[place], out=value)
