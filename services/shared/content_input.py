"""What the model sees of a product besides its id: written once, used to train and to serve.

A product's content is a set of *features*, each a name: every category it is in, from the
widest on (``category:Paper``, ``category:Paper > Envelopes``), ``brand:HP``, ``merchant:m-7``
and the band of its price (``price:3``). A vocabulary numbers the names from 1 on; names that
it does not have are dropped, so a product listed a minute ago has whatever is known of its
kind. ``model_export`` imports this module, so training and serving cannot drift apart.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

CATEGORY_DEPTH: Final = 8
"""Categories of one path that count, from the widest on; the catalogue has no more."""

STEP: Final = " > "
PRICE: Final = "price:"


class ProductContent(NamedTuple):
    """What a catalogue says of a product, as far as it becomes features."""

    category_path: Sequence[str] = ()
    """From the widest category to the narrowest."""
    brand: str = ""
    merchant_id: str = ""
    price: float | None = None
    """In the shop's currency."""


def price_bounds(prices: Iterable[float], bands: int) -> tuple[float, ...]:
    """Where ``bands`` bands part that hold about as many products each.

    Quantiles of the log price, which are those of the price: each is a price that occurs
    (``inverted_cdf``), so no bound hangs on how a logarithm is rounded. Fewer where many
    products share a price.
    """
    known = np.sort([price for price in prices if math.isfinite(price) and price > 0])
    if not len(known):
        return ()
    shares = np.arange(1, bands) / bands
    found = np.quantile(known, shares, method="inverted_cdf")
    return tuple(float(bound) for bound in np.unique(found))


def price_band(price: float, bounds: Sequence[float]) -> int:
    """How many bounds the price reaches: 0 for the cheapest band."""
    return bisect_right(bounds, price)


def feature_names(content: ProductContent, bounds: Sequence[float]) -> list[str]:
    """The names of a product's features, each once; none of what is not known of it."""
    path = [part.strip() for part in content.category_path[:CATEGORY_DEPTH] if part.strip()]
    names = [f"category:{STEP.join(path[:depth])}" for depth in range(1, len(path) + 1)]
    if brand := content.brand.strip():
        names.append(f"brand:{brand}")
    if merchant := content.merchant_id.strip():
        names.append(f"merchant:{merchant}")
    if content.price is not None and math.isfinite(content.price) and content.price > 0:
        names.append(f"{PRICE}{price_band(content.price, bounds)}")
    return names


class FeatureVocabulary:
    """The features that a model knows; the first is 1, 0 fills up."""

    def __init__(self, names: Sequence[str]) -> None:
        """Take ``names`` in the order of their numbers. Raises ValueError where one is twice."""
        self.names: Final = tuple(names)
        self._number = {name: number for number, name in enumerate(self.names, start=1)}
        if len(self._number) != len(self.names):
            raise ValueError("a feature stands twice in the vocabulary")

    def __len__(self) -> int:
        """How many features it has, what fills up not counted."""
        return len(self.names)

    def numbers(self, names: Iterable[str]) -> list[int]:
        """The numbers of the names that are known, in their order."""
        return [self._number[name] for name in names if name in self._number]

    def padded(self, names: Iterable[str], width: int) -> NDArray[np.int32]:
        """[width] the same with zeros behind; what is beyond the width is cut."""
        row = np.zeros(width, dtype=np.int32)
        known = self.numbers(names)[:width]
        row[: len(known)] = known
        return row
