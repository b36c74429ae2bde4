"""A bundle's graph in ONNX Runtime, and the proof that it computes here what it did there."""

from __future__ import annotations

from typing import Final

import numpy as np
import onnxruntime  # type: ignore[import-untyped]  # it ships no types
from numpy.typing import NDArray

from services.shared.bundle import TOP, Bundle
from services.shared.errors import BundleRefused
from services.shared.model_input import ModelInput

TOLERANCE: Final = 1e-4
"""How far a query may be from its golden one, as a share of that one's greatest component."""

GOLDEN_OVERLAP: Final = 9
"""Of the ten best products, so many must be the golden ones."""


class Encoder:
    """The bundle's graph in ONNX Runtime, on one thread; safe to call from several."""

    def __init__(self, bundle: Bundle) -> None:
        """Load the graph. Raises BundleRefused where ONNX Runtime cannot."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        path = bundle.encoder_path
        try:
            self._session = onnxruntime.InferenceSession(
                path.read_bytes(), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # its own classes share no root
            raise BundleRefused(f"{path}: ONNX Runtime cannot load it: {error}") from error
        inputs = {each.name for each in self._session.get_inputs()}
        if inputs != {"vectors", "actions", "gaps"}:
            raise BundleRefused(
                f"{path}: the graph takes {sorted(inputs)}, not vectors, actions and gaps"
            )
        self._vectors = bundle.item_vectors

    def encode(self, model_input: ModelInput) -> NDArray[np.float32]:
        """The query vector [d] of one shopper."""
        items, actions, gaps = model_input
        query: NDArray[np.float32] = self.encode_batch(items[None], actions[None], gaps[None])[0]
        return query

    def encode_batch(
        self, items: NDArray[np.int32], actions: NDArray[np.int64], gaps: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """The query vectors [B, d] of inputs that are [B, L] each."""
        feeds = {"vectors": self._vectors[items], "actions": actions, "gaps": gaps}
        query: NDArray[np.float32] = self._session.run(["query"], feeds)[0]
        return query


def check_golden(bundle: Bundle, encoder: Encoder) -> None:
    """Raise BundleRefused where the graph computes here what it did not where it was made.

    A query may differ by :data:`TOLERANCE` of its greatest component (processors round
    differently), and the ten best products must share :data:`GOLDEN_OVERLAP`.
    """
    golden, path = bundle.golden, bundle.encoder_path
    try:
        queries = encoder.encode_batch(golden.items, golden.actions, golden.gaps)
    except Exception as error:  # ONNX Runtime's own classes share no root
        raise BundleRefused(f"{path}: fails on the golden inputs: {error}") from error
    if queries.shape != golden.queries.shape:
        raise BundleRefused(f"{path}: gives {queries.shape}, golden is {golden.queries.shape}")
    drift = np.abs(queries - golden.queries).max(axis=1)
    allowed = TOLERANCE * np.maximum(1.0, np.abs(golden.queries).max(axis=1))
    for row in np.flatnonzero(~(drift <= allowed)).tolist():
        raise BundleRefused(
            f"{path}: golden input {row} differs by {drift[row]:.2g}, allowed is {allowed[row]:.2g}"
        )
    for row, best in enumerate(top_products(queries @ bundle.item_vectors.T)):
        shared = len(set(best.tolist()) & set(golden.top10[row].tolist()))
        if shared < min(GOLDEN_OVERLAP, len(best)):
            raise BundleRefused(
                f"{path}: golden input {row} shares {shared} of its {TOP} best products"
            )


def top_products(scores: NDArray[np.float32]) -> NDArray[np.int64]:
    """The best products [B, ≤10] of scores [B, n], best first, ties by index; padding never."""
    order = np.argsort(-scores[:, 1:], axis=1, kind="stable")[:, :TOP] + 1
    return order.astype(np.int64)
