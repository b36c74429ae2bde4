"""What the model has learned of products, by row of the catalogue."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.shared.item_vectors import ItemVectors

NONE: Final[NDArray[np.intp]] = np.zeros(0, dtype=np.intp)


class Learned(NamedTuple):
    """Of n products; row 0 is padding."""

    vectors: ItemVectors
    popularity: NDArray[np.int32]
    """[n] purchases; what is popular."""
    gaps: NDArray[np.intp] = NONE
    """Rows below n of which the model has learned nothing, ascending; 0 is none of them."""

    def has(self, row: int) -> bool:
        """Whether the model has learned the product of a row, and so can score it."""
        if not 0 < row < self.vectors.size:
            return False
        place = int(np.searchsorted(self.gaps, row))
        return place == len(self.gaps) or int(self.gaps[place]) != row


class LearnedProducts:
    """The products of a catalogue that a model has learned, by the catalogue's rows.

    Other than a vocabulary of the model's own it holds no product ids: the catalogue does, once for
    all models.
    """

    def __init__(self, row_of: Callable[[str], int], learned: Learned) -> None:
        """``row_of`` tells a product's row, 0 for one that has none."""
        self._row_of = row_of
        self._has = np.ones(learned.vectors.size, dtype=np.bool_)
        self._has[learned.gaps] = False
        self._has[0] = False

    def __len__(self) -> int:
        """The greatest row."""
        return len(self._has) - 1

    def __contains__(self, product_id: object) -> bool:
        return isinstance(product_id, str) and self._index(product_id) > 0

    def indices(self, product_ids: Iterable[str]) -> list[int]:
        """The row of each, 0 for what the model does not know."""
        return [self._index(product_id) for product_id in product_ids]

    def _index(self, product_id: str) -> int:
        row = self._row_of(product_id)
        return row if row < len(self._has) and self._has[row] else 0
