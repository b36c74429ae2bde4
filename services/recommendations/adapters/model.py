"""The model bundle, loaded and proven: from a profile to a query vector."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.recommendations.domain.personal import ItemVectors
from services.recommendations.domain.reasons import History
from services.shared.bundle import Bundle, load_bundle
from services.shared.encoder import Encoder, check_golden
from services.shared.model_input import Interaction, Vocabulary, encode


class Reading(NamedTuple):
    """What the model makes of a shopper's interactions."""

    query: NDArray[np.float32]
    """[d]; the score of product i is query · vectors[i]."""
    history: History


class Model:
    """A bundle in memory; lives as long as the server."""

    def __init__(self, bundle: Bundle) -> None:
        """Load the encoder. Raises BundleRefused where it computes what it should not."""
        self._encoder = Encoder(bundle)
        check_golden(bundle, self._encoder)
        self._max_length = bundle.settings.max_length
        self.vocabulary: Vocabulary = bundle.vocabulary
        self.version = bundle.manifest.version
        self.items = _item_vectors(bundle)

    def read(self, did: Sequence[Interaction]) -> Reading | None:
        """The query of what a shopper did, oldest first; None if it knows none of the products."""
        known = [each for each in did if each.product_id in self.vocabulary]
        if not known:
            return None
        known = known[-self._max_length :]
        model_input = encode(known, self.vocabulary, max_length=self._max_length)
        rows = model_input.items[-len(known) :]
        query = self._encoder.encode(model_input)
        return Reading(query, History(known, self.items.directions[rows]))


def load_model(folder: Path) -> Model:
    """The model of the bundle in ``folder``. Raises BundleRefused."""
    return Model(load_bundle(folder))


def _item_vectors(bundle: Bundle) -> ItemVectors:
    vectors = bundle.item_vectors
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    directions = np.ascontiguousarray(vectors / np.maximum(lengths, 1e-12), dtype=np.float32)
    mean = vectors[1:].mean(axis=0, dtype=np.float64).astype(np.float32)
    return ItemVectors(vectors, directions, mean, bundle.popularity)
