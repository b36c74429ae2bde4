"""The words of searches as vectors, for a model that reads them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Final

import numpy as np

from services.shared.bundle import Bundle
from services.shared.content_tower import ContentTower
from services.shared.errors import BundleRefused
from services.shared.item_vectors import Floats

TextVectors = Callable[[Sequence[str]], Floats]
"""Texts → unit vectors [n, k], as the encoder does that the bundle was trained with."""

REMEMBERED: Final = 4_096
"""Searches; most are of words that others search for, too."""


class SearchVectors:
    """A text encoder and the bundle's content tower, one after the other, with a memory."""

    def __init__(self, bundle: Bundle, text_vectors: TextVectors) -> None:
        """Load the tower. Raises BundleRefused where the bundle has none, or it does not load."""
        if bundle.content is None:
            raise BundleRefused(f"{bundle.folder} reads searches and has no content tower")
        tower = ContentTower(bundle.tower_path, bundle.content, bundle.settings.dimensions)
        # Not a method of ours: a circle would outlive the model whose this is.
        self._remembered = lru_cache(REMEMBERED)(partial(_vector, tower, text_vectors))

    def __call__(self, queries: Sequence[str]) -> Floats:
        """The vectors [Q, d] of what was searched for."""
        return np.stack([self._remembered(query) for query in queries])


def _vector(tower: ContentTower, text_vectors: TextVectors, query: str) -> Floats:
    found: Floats = tower.searched(text_vectors([query]))[0]
    return found
