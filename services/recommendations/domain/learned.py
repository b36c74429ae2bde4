"""What the model has learned of products, by row of the catalogue."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.shared.item_vectors import ItemVectors


class Learned(NamedTuple):
    """Of n products; row 0 is padding."""

    vectors: ItemVectors
    popularity: NDArray[np.int32]
    """[n] purchases; what is popular."""
