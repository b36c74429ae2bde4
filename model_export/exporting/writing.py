"""Writes the files of a bundle; the same content gives the same bytes."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from model_export.exporting.parts import ModelParts
from services.shared.item_vectors import ItemVectors
from services.shared.product_codes import CodedVectors


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file. Raises OSError with its name, also where the disk is full."""
    try:
        path.write_bytes(content)
    except OSError as error:
        raise OSError(error.errno, error.strerror, path.name) from error


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as JSON."""
    write_bytes(path, msgspec.json.encode(value) + b"\n")


def write_array(path: Path, array: NDArray[Any]) -> None:
    """Write an .npy file."""
    content = io.BytesIO()
    np.save(content, array)
    write_bytes(path, content.getvalue())


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write an .npz file."""
    content = io.BytesIO()
    np.savez_compressed(content, **dict(arrays))  # type: ignore[arg-type]  # stubs mix up allow_pickle
    write_bytes(path, content.getvalue())


def write_vectors(folder: Path, vectors: ItemVectors) -> None:
    """Write the item vectors: codes where they are coded, else the whole table."""
    if isinstance(vectors, CodedVectors):
        write_array(folder / "codes.npy", vectors.codes)
        write_array(folder / "codebooks.npy", vectors.codebooks)
    else:
        table = vectors.rows(np.arange(vectors.size))
        write_array(folder / "items.npy", table.astype(np.float16))


def write_blend(folder: Path, parts: ModelParts) -> None:
    """Write what the model has besides the encoder: tower, neighbours, repeat table."""
    if parts.tower is not None:
        write_bytes(folder / "tower.onnx", parts.tower.graph())
        write_json(folder / "content.json", parts.tower.content)
    if parts.neighbours is not None:
        matrix: dict[str, NDArray[Any]] = {
            "starts": parts.neighbours.starts,
            "items": parts.neighbours.items,
            "weights": parts.neighbours.weights.astype(np.float16),
        }
        write_arrays(folder / "neighbours.npz", matrix)
    if parts.repeat is not None:
        write_json(folder / "repeat.json", parts.repeat)
