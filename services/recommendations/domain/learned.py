"""What the model has learned of products, by row of the catalogue, and what it can be asked."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Final, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from services.recommendations.domain.reasons import History
from services.shared.content_input import ProductContent
from services.shared.item_vectors import Floats, ItemVectors
from services.shared.model_input import Interaction, Known
from services.shared.neighbours import Neighbours
from services.shared.repeat import RepeatTable

NONE: Final[NDArray[np.intp]] = np.zeros(0, dtype=np.intp)


class Learned(NamedTuple):
    """Of n products; row 0 is padding."""

    vectors: ItemVectors
    popularity: NDArray[np.int32]
    """[n] purchases; what is popular."""
    neighbours: Neighbours | None = None
    """What is bought together, where the bundle knows."""
    repeat: RepeatTable | None = None
    """When products are bought again, where the bundle knows."""
    gaps: NDArray[np.intp] = NONE
    """Rows below n of which the model has learned nothing, ascending; 0 is none of them."""

    def has(self, row: int) -> bool:
        """Whether the model has learned the product of a row, and so can score it."""
        if not 0 < row < self.vectors.size:
            return False
        place = int(np.searchsorted(self.gaps, row))
        return place == len(self.gaps) or int(self.gaps[place]) != row

    def unlearned(self, rows: NDArray[np.intp]) -> NDArray[np.intp]:
        """Those of ``rows`` that :meth:`has` denies, but for padding, all at once."""
        is_learned = np.ones(self.vectors.size + 1, dtype=np.bool_)
        is_learned[-1] = False  # of all rows beyond
        is_learned[self.gaps] = False
        return rows[~is_learned[np.minimum(rows, self.vectors.size)] & (rows > 0)]

    def mean(self, scores: Floats) -> float:
        """Of an average product's score; ``scores`` are [n], 0 in the gaps."""
        return float(scores[1:].sum() / max(len(scores) - 1 - len(self.gaps), 1))


class Reading(NamedTuple):
    """What the model makes of a shopper's interactions."""

    scores: Floats
    """[n] of all products that it has learned, by row; the caller's own to change."""
    history: History
    """What can be a reason."""
    query: Floats
    """[d] what its vectors were multiplied with."""
    known: Known
    """All interactions with products that it has learned."""


class Model(Protocol):
    """A model that answers; never changed."""

    @property
    def version(self) -> str:
        """As its manifest names it."""
        ...

    @property
    def reads(self) -> Collection[str]:
        """Names of the actions that it wants to be told."""
        ...

    @property
    def learned(self) -> Learned:
        """What it knows of products."""
        ...

    def read(
        self, did: Sequence[Interaction], now: int, wanted: Mapping[str, float] | None = None
    ) -> Reading | None:
        """The scores for what a shopper did, oldest first; None if it knows none of it.

        ``now`` is microseconds since 1970; ``wanted`` says how much foretelling
        each action counts; as the bundle says where it names none that the model foretells.
        """
        ...

    def place(self, contents: Sequence[ProductContent], titles: Sequence[str]) -> Floats | None:
        """Vectors [k, d] of products that it has not learned, by what they are.

        None where it learns nothing of what products are.
        """
        ...


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
