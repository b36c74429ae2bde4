"""What many shoppers do just now: hourly counts, each hour worth less than the next.

Counts are integers in hourly buckets (who counts them, and how often, is the profiles
worker's rule); decay is applied here, when they are read, so that no stored number ever
depends on when it was written.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from typing import Final

HALF_LIFE: Final = 24
"""Hours after which a count is worth half: a day, so the week's rhythm shows but fades."""

HOURS: Final = 168
"""How far back counts are read; older ones would weigh below 1 in 128."""

LENGTH: Final = 500
"""How many trending products are kept: the longest answer, and room for what is hidden."""


def weight(age: int) -> float:
    """What a count is worth ``age`` hours later; one from the future is worth 1."""
    return float(0.5 ** (max(age, 0) / HALF_LIFE))


def add_hour(scores: dict[str, float], counts: Mapping[str, int], *, age: int) -> None:
    """Add one bucket, ``age`` hours old, to ``scores`` in place."""
    worth = weight(age)
    for product_id, count in counts.items():
        scores[product_id] = scores.get(product_id, 0.0) + worth * count


def leaders(scores: Mapping[str, float]) -> tuple[tuple[str, float], ...]:
    """The :data:`LENGTH` products with the highest scores, ties by product id."""
    return tuple(best(scores, LENGTH))


def best(scores: Mapping[str, float], count: int) -> list[tuple[str, float]]:
    """The ``count`` products with the highest scores, best first, ties by product id."""
    return heapq.nsmallest(count, scores.items(), key=lambda each: (-each[1], each[0]))
