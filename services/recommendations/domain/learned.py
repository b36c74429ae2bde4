"""What the model has learned of products, by row of the catalogue, and what it can be asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from services.recommendations.domain.reasons import History
from services.shared.item_vectors import Floats, ItemVectors
from services.shared.model_input import Interaction, Known
from services.shared.neighbours import Neighbours
from services.shared.repeat import RepeatTable


class Learned(NamedTuple):
    """Of n products; row 0 is padding."""

    vectors: ItemVectors
    popularity: NDArray[np.int32]
    """[n] purchases; what is popular."""
    neighbours: Neighbours | None = None
    """What is bought together, where the bundle knows."""
    repeat: RepeatTable | None = None
    """When products are bought again, where the bundle knows."""


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
    def reads(self) -> Sequence[str]:
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
