"""What an evaluation asks: baskets that came later, each with all that was known before it.

A profile follows a shopper within milliseconds, so each basket is foretold from everything
up to it, also from earlier held-out baskets. What was learned over all shoppers
(parameters, popularity, similarities) stays as it was at the cut.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from model_export.dataset import Interactions, baskets
from services.shared.model_input import PURCHASE
from services.shared.profile import BOUNDS

HISTORY: Final = BOUNDS["purchases"]
"""How many interactions before a basket a server still knows."""


class Case(NamedTuple):
    """One basket to foretell; items are positions in the data's ids."""

    user: int
    before: slice
    """The user's rows before the basket."""
    bought: NDArray[np.int32]
    """What the user had bought before, each once, ascending."""
    relevant: NDArray[np.int32]
    """What the basket holds, each once, ascending."""
    new: NDArray[np.int32]
    """Those of ``relevant`` that the user had never bought."""


class Ranking(NamedTuple):
    """The ten best products for a case, best first."""

    every: NDArray[np.integer]
    """Among all products."""
    new: NDArray[np.integer]
    """Among those that the user had never bought."""


def cases_of(data: Interactions, part: int) -> list[Case]:
    """The baskets of a part that hold a purchase and have something before them."""
    found = []
    for user, first, start, stop in baskets(data, part):
        bought = _purchases(data, slice(start, stop))
        if start == first or not len(bought):
            continue
        earlier = _purchases(data, slice(first, start))
        new = np.setdiff1d(bought, earlier, assume_unique=True)
        found.append(Case(user, slice(first, start), earlier, bought, new))
    return found


def _purchases(data: Interactions, rows: slice) -> NDArray[np.int32]:
    items = data.items[rows][data.actions[rows] == PURCHASE]
    unique: NDArray[np.int32] = np.unique(items)
    return unique
