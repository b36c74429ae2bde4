"""Shoppers whose taste drifts: what goes with what changes from one period to the next.

Products belong to styles, in an order of how much they are liked; each shopper follows one style,
and mostly buys what stands high in its list. With each period the tails of all lists are mixed and
become their heads, as fashions do, and a few shoppers change their style. So a shopper's newest
purchases still tell the style, but what else people of that style buy is no longer what it was.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np

STYLES: Final = 12
OF_A_STYLE: Final = 30
"""Products."""
TURNED: Final = 3
"""Of them, so many are exchanged with each period: a third of what is bought then."""
CHANGED: Final = 0.05
"""Share of the shoppers who change their style with each period."""
ANYTHING: Final = 0.1
"""Share of lines that no style explains."""
LINES: Final = 2
"""Different products in a basket."""


class Basket(NamedTuple):
    """What a shopper buys at once."""

    shopper: int
    at: float
    """From 0 to 1: how much of the period is over."""
    products: tuple[int, ...]


class Taste:
    """What all shoppers like, now."""

    def __init__(self, shoppers: int, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        products = self._random.permutation(STYLES * OF_A_STYLE)
        self._lists = products.reshape(STYLES, OF_A_STYLE)
        """[styles, products], the best liked first."""
        self._of = self._random.integers(STYLES, size=shoppers)
        liked = 1 / np.arange(2, OF_A_STYLE + 2)
        self._liked = liked / liked.sum()

    def period(self, baskets: int) -> Iterator[Basket]:
        """What each shopper buys in a period, in the order of time."""
        shoppers = np.repeat(np.arange(len(self._of)), baskets)
        moments = self._random.random(len(shoppers))
        for place in np.argsort(moments):
            shopper = int(shoppers[place])
            yield Basket(shopper, float(moments[place]), self._lines(self._of[shopper]))

    def drift(self) -> None:
        """Go over to the next period."""
        tails, heads = self._lists[:, -TURNED:], self._lists[:, :-TURNED]
        mixed = self._random.permutation(tails.ravel()).reshape(tails.shape)
        self._lists = np.concatenate([mixed, heads], axis=1)
        changes = self._random.random(len(self._of)) < CHANGED
        self._of[changes] = self._random.integers(STYLES, size=changes.sum())

    def _lines(self, style: int) -> tuple[int, ...]:
        places = self._random.choice(OF_A_STYLE, size=LINES, replace=False, p=self._liked)
        chosen = self._lists[style, places]
        anything = self._random.random(LINES) < ANYTHING
        chosen = np.where(anything, self._random.integers(self._lists.size, size=LINES), chosen)
        return tuple(int(product) for product in np.unique(chosen))
