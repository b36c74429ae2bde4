"""A bundle's graph in ONNX Runtime, and the proof that it computes here what it did there."""

from __future__ import annotations

from copy import copy
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from services.shared.bundle import Bundle
from services.shared.bundle_settings import ModelSettings
from services.shared.content_tower import ContentTower
from services.shared.errors import BundleRefused
from services.shared.golden import TOP
from services.shared.item_vectors import Floats, ItemVectors, inverse
from services.shared.model_input import ModelInput
from services.shared.onnx_graph import FLOATS, INTEGERS, Graph, Tensor
from services.shared.scores import best

TOLERANCE: Final = 1e-4
"""How far a query may be from its golden one, as a share of that one's greatest component."""

GOLDEN_OVERLAP: Final = 9
"""Of the ten best products, so many must be the golden ones."""


class Encoder:
    """The bundle's graph, on one thread; safe to call from several."""

    def __init__(self, bundle: Bundle) -> None:
        """Load the graph. Raises BundleRefused where ONNX Runtime cannot."""
        self._graph = load_graph(bundle.encoder_path, bundle.settings)
        self._item_vectors = bundle.item_vectors
        self._wanted: Floats = np.array([bundle.settings.wanted], dtype=np.float32)

    def with_vectors(self, item_vectors: ItemVectors) -> Encoder:
        """The same graph, which looks products up in another table."""
        other = copy(self)
        other._item_vectors = item_vectors
        return other

    def encode(
        self,
        model_input: ModelInput,
        *,
        wanted: Floats | None = None,
        searched: Floats | None = None,
    ) -> Floats:
        """The query vector [d] of one shopper; see :meth:`encode_batch`."""
        items, actions, gaps = model_input
        query: Floats = self.encode_batch(
            items[None],
            actions[None],
            gaps[None],
            wanted=None if wanted is None else wanted[None],
            searched=searched,
        )[0]
        return query

    def encode_batch(
        self,
        items: NDArray[np.int32],
        actions: NDArray[np.int64],
        gaps: NDArray[np.int64],
        *,
        wanted: Floats | None = None,
        searched: Floats | None = None,
    ) -> Floats:
        """The query vectors [B, d] of inputs that are [B, L] each.

        ``wanted`` [B, A] says how much each target action counts; without it, what the bundle's
        settings say. ``searched`` [Q, d] are the vectors of searches: those of the indices from
        n on, where n counts the products with padding.
        """
        if wanted is None:
            wanted = np.repeat(self._wanted, len(items), axis=0)
        feeds: dict[str, NDArray[Any]] = {
            "vectors": self._looked_up(items, searched),
            "actions": actions,
            "gaps": gaps,
            "wanted": wanted,
        }
        return self._graph.run(feeds)

    def directions(self, items: NDArray[np.int32], searched: Floats | None = None) -> Floats:
        """The vectors [h, d] of a history [h], searches and all, at length 1."""
        vectors = self._looked_up(items, searched)
        found: Floats = vectors * inverse(np.linalg.norm(vectors, axis=1))[:, None]
        return found

    def _looked_up(self, items: NDArray[np.int32], searched: Floats | None) -> Floats:
        if searched is None:
            return self._item_vectors.rows(items)
        beyond = items - self._item_vectors.size
        is_search = beyond >= 0
        vectors = self._item_vectors.rows(np.where(is_search, 0, items))
        vectors[is_search] = searched[beyond[is_search]]
        return vectors


def load_graph(path: Path, settings: ModelSettings) -> Graph:
    """The encoder's graph alone. Raises BundleRefused where it takes other inputs."""
    inputs = {
        "vectors": Tensor(FLOATS, settings.dimensions),
        "actions": Tensor(INTEGERS, settings.max_length),
        "gaps": Tensor(INTEGERS, settings.max_length),
        "wanted": Tensor(FLOATS, len(settings.wanted)),
    }
    return Graph(path, inputs, "query")


def check_golden(bundle: Bundle, encoder: Encoder) -> None:
    """Raise BundleRefused where a graph computes here what it did not where it was made.

    A query may differ by :data:`TOLERANCE` of its greatest component (processors round
    differently), and the ten best products must share :data:`GOLDEN_OVERLAP`. What the content
    tower places, if there is one, may differ as a query may.
    """
    golden, path = bundle.golden, bundle.encoder_path
    try:
        queries = encoder.encode_batch(
            golden.items, golden.actions, golden.gaps, wanted=golden.wanted
        )
    except Exception as error:  # ONNX Runtime's own classes share no root
        raise BundleRefused(f"{path}: fails on the golden inputs: {error}") from error
    _check_close(str(path), queries, golden.queries)
    for row, query in enumerate(queries):
        found = best(bundle.item_vectors.scores(query)[1:], TOP) + 1
        shared = len(set(found.tolist()) & set(golden.top10[row].tolist()))
        if shared < min(GOLDEN_OVERLAP, len(found)):
            raise BundleRefused(
                f"{path}: golden input {row} shares {shared} of its {TOP} best products"
            )
    if bundle.content is not None and golden.placed is not None:
        tower = ContentTower(bundle.tower_path, bundle.content, bundle.settings.dimensions)
        placed = tower.vectors(golden.placed.features, golden.placed.text)
        _check_close(str(bundle.tower_path), placed, golden.placed.vectors)


def _check_close(path: str, found: Floats, expected: Floats) -> None:
    if found.shape != expected.shape:
        raise BundleRefused(f"{path}: gives {found.shape}, golden is {expected.shape}")
    drift = np.abs(found - expected).max(axis=1)
    allowed = TOLERANCE * np.maximum(1.0, np.abs(expected).max(axis=1))
    for row in np.flatnonzero(~(drift <= allowed)).tolist():
        raise BundleRefused(
            f"{path}: golden input {row} differs by {drift[row]:.2g}, allowed is {allowed[row]:.2g}"
        )
