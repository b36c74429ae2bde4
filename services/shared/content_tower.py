"""The content tower of a bundle: from what a product is to a vector, for what nobody bought yet.

``tower.onnx`` computes (features [B,F] i64, text [B,k] f32) → vector [B,d]; ``content.json`` says
what the numbers stand for. A product listed a minute ago gets the vector of its category, brand,
merchant, price band and text; the words of a search get one, too, as a product of no features.
"""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Annotated, Final

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from services.shared.bundle_files import read_json
from services.shared.content_input import PRICE
from services.shared.errors import BundleRefused
from services.shared.item_vectors import Floats
from services.shared.onnx_graph import FLOATS, INTEGERS, Graph, Tensor

MOST_FEATURES: Final = 1_000
"""Of one product."""


class ContentSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``content.json``."""

    names: tuple[str, ...]
    """What feature 1, 2, … is, such as ``brand:HP``; 0 is none."""
    most_features: Annotated[int, Meta(ge=1, le=MOST_FEATURES)]
    """F, how many features one product can have."""
    text_dimensions: Annotated[int, Meta(ge=0, le=10_000)]
    """k; 0 where the tower reads no text, and takes none."""
    text_encoder: str = ""
    """What turns texts into vectors; none where the tower was trained without."""
    price_bounds: tuple[float, ...] = ()
    """Ascending bounds of the price bands, in the currency that the data is in."""


class ContentTower:
    """The graph, loaded."""

    def __init__(self, path: Path, settings: ContentSettings, dimensions: int) -> None:
        """Load the graph at ``path``. Raises BundleRefused where it takes something else."""
        self._settings = settings
        self._dimensions = dimensions
        inputs = {
            "features": Tensor(INTEGERS, settings.most_features),
        }
        if settings.text_dimensions:
            inputs["text"] = Tensor(FLOATS, settings.text_dimensions)
        self._graph = Graph(path, inputs, "vector")
        self._path = path

    def vectors(self, features: NDArray[np.int64], text: Floats) -> Floats:
        """The vectors [B, d] of products with ``features`` [B, F] and ``text`` [B, k].

        A feature of 0, or a text of zeros, says nothing. Raises BundleRefused where the graph
        fails or gives something else than B finite vectors.
        """
        if not len(features):
            return np.zeros((0, self._dimensions), dtype=np.float32)
        words = {"text": text} if self._settings.text_dimensions else {}
        try:
            found = self._graph.run({"features": features, **words})
        except Exception as error:  # ONNX Runtime's own classes share no root
            raise BundleRefused(f"{self._path}: the tower fails: {error}") from error
        if found.shape != (len(features), self._dimensions) or not np.isfinite(found).all():
            raise BundleRefused(
                f"{self._path}: the tower gives {found.shape} or numbers that are not finite, "
                f"expected {(len(features), self._dimensions)}"
            )
        return found

    def searched(self, text: Floats) -> Floats:
        """The vectors [Q, d] of searches whose words have the vectors ``text`` [Q, k]."""
        return self.vectors(np.zeros((len(text), self._settings.most_features), np.int64), text)


def read_content(path: Path) -> ContentSettings:
    """The settings of a tower. Raises BundleRefused."""
    content = read_json(path, ContentSettings)
    bounds = content.price_bounds
    rising = all(low < high for low, high in itertools.pairwise(bounds))
    if not rising or not all(map(math.isfinite, bounds)):
        raise BundleRefused(f"{path}: price_bounds must rise and be finite")
    banded = {f"{PRICE}{band}" for band in range(len(bounds) + 1)}
    for name in content.names:
        if name.startswith(PRICE) and name not in banded:
            raise BundleRefused(f"{path}: {name} is beyond the {len(bounds)} price_bounds")
    if len(set(content.names)) != len(content.names):
        raise BundleRefused(f"{path}: a feature stands twice")
    return content
