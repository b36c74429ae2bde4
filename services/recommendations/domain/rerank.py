"""A small step towards variety: no category may fill a list.

Best first, at most :func:`cap` products of one category are taken; those left out come
back, in their order, only if the list is not full otherwise. The whole category path
counts ("GROCERY / SOUP" and "GROCERY / TEA" are two); products without a category are never
left out. Greedy, so it is deterministic and easy to explain: a product is missing because
better ones of its category are there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from math import ceil
from typing import Final

from services.recommendations.domain.catalog import NO_CATEGORY
from services.recommendations.domain.ranking import Ranked

SHARE: Final = 0.4
"""How much of a list one category may have."""

POOL: Final = 5
"""How many times its length is ranked before a list is chosen."""


def cap(limit: int) -> int:
    """How many products of one category a list of ``limit`` may have, at least 1."""
    return max(1, ceil(limit * SHARE))


def diverse(
    pool: Sequence[Ranked], *, limit: int, category_of: Callable[[int], int]
) -> list[Ranked]:
    """Choose ``limit`` of ``pool`` (best first). Scores never rise down the list.

    Where a product left out comes back behind a lesser one, it takes that one's score, so
    that a caller who sorts by score keeps the order.
    """
    allowed = cap(limit)
    taken: Counter[int] = Counter()
    chosen: list[Ranked] = []
    left_out: list[Ranked] = []
    for each in pool:
        if len(chosen) == limit:
            return chosen
        category = category_of(each.row)
        if category != NO_CATEGORY and taken[category] >= allowed:
            left_out.append(each)
            continue
        taken[category] += 1
        chosen.append(each)
    for each in left_out[: limit - len(chosen)]:
        chosen.append(each._replace(score=min(each.score, chosen[-1].score)))
    return chosen
