"""Inputs that a bundle carries with their outputs, so that a server can prove itself."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from services.shared.bundle_files import check_array, read_arrays
from services.shared.bundle_settings import ModelSettings
from services.shared.content_tower import ContentSettings
from services.shared.errors import BundleRefused
from services.shared.item_vectors import Floats
from services.shared.model_input import ACTIONS, GAP_BUCKETS

TOP: Final = 10
LEAST: Final = 32
"""Golden inputs that a bundle must have."""


@dataclass(frozen=True, slots=True)
class Placed:
    """Products as the content tower sees them, and where it put them; P of them."""

    features: NDArray[np.int64]
    """[P, F]."""
    text: Floats
    """[P, k]."""
    vectors: Floats
    """[P, d]."""


@dataclass(frozen=True, slots=True)
class Golden:
    """Inputs and what they gave where the bundle was made; G of them, of length L."""

    items: NDArray[np.int32]
    """[G, L] indices."""
    actions: NDArray[np.int64]
    """[G, L]."""
    gaps: NDArray[np.int64]
    """[G, L]."""
    wanted: Floats
    """[G, A]."""
    queries: Floats
    """[G, d]."""
    top10: NDArray[np.int64]
    """[G, 10] indices by query · vector, best first."""
    placed: Placed | None
    """None where there is no content tower."""


def read_golden(
    path: Path, rows: int, settings: ModelSettings, content: ContentSettings | None
) -> Golden:
    """The golden inputs of a bundle of ``rows`` products, padding counted.

    Raises BundleRefused.
    """
    arrays = read_arrays(path)
    count, length = len(arrays.get("items", ())), settings.max_length
    top = min(TOP, rows - 1)
    expected: dict[str, tuple[type[np.generic], tuple[int, ...]]] = {
        "items": (np.int32, (count, length)),
        "actions": (np.int64, (count, length)),
        "gaps": (np.int64, (count, length)),
        "wanted": (np.float32, (count, len(settings.wanted))),
        "queries": (np.float32, (count, settings.dimensions)),
        "top10": (np.int64, (count, top)),
    }
    if content is not None:
        placed = len(arrays.get("vectors", ()))
        expected |= {
            "features": (np.int64, (placed, content.most_features)),
            "text": (np.float32, (placed, content.text_dimensions)),
            "vectors": (np.float32, (placed, settings.dimensions)),
        }
    if set(arrays) != set(expected):
        raise BundleRefused(f"{path} has {sorted(arrays)}, expected {sorted(expected)}")
    for name, (dtype, shape) in expected.items():
        check_array(path, arrays[name], dtype, shape, name)
    if count < LEAST:
        raise BundleRefused(f"{path} has {count} golden inputs, expected {LEAST} or more")
    _check_range(path, "items", arrays["items"], rows)
    _check_range(path, "actions", arrays["actions"], len(ACTIONS))
    _check_range(path, "gaps", arrays["gaps"], GAP_BUCKETS)
    if content is None:
        return Golden(**arrays, placed=None)
    _check_range(path, "features", arrays["features"], len(content.names) + 1)
    parts = {name: arrays.pop(name) for name in ("features", "text", "vectors")}
    return Golden(**arrays, placed=Placed(**parts))


def _check_range(path: Path, name: str, array: NDArray[Any], beyond: int) -> None:
    if array.size and (array.min() < 0 or array.max() >= beyond):
        raise BundleRefused(f"{path}: {name} has numbers that are not 0 to {beyond - 1}")
