"""Vectors of titles and queries: each distinct text is encoded once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from model_export.errors import DataRefused
from model_export.preparation.engine import Advance
from services.shared.text_encoder import TextEncoder, readable

AT_ONCE: Final = 256
"""Texts."""


def encode_texts(texts: Sequence[str], encoder: TextEncoder, path: Path, advance: Advance) -> int:
    """Write [texts, k] float16 unit vectors to ``path``; zeros where a text has no words.

    Answers how many texts have a vector. Distinct texts go to the encoder in ascending order
    and packs of one size, so that the same texts give the same bytes. Memory holds a pack; the
    file is filled in place.
    """
    read = pl.DataFrame({"text": [readable(text) for text in texts]}, {"text": pl.String})
    distinct = read.with_row_index("row").group_by("text").agg("row").sort("text")
    vectors = _new_file(path, (len(texts), encoder.dimensions))
    some = 0
    for first in range(0, len(distinct), AT_ONCE):
        pack = distinct[first : first + AT_ONCE]
        found = encoder.encode(pack["text"].to_list()).astype(np.float16)
        for vector, rows in zip(found, pack["row"], strict=True):
            vectors[rows.to_numpy()] = vector
            some += len(rows) if vector.any() else 0
        advance(min(first + AT_ONCE, len(distinct)) / len(distinct))
    if isinstance(vectors, np.memmap):
        vectors.flush()
    return some


def write_given(vectors: Sequence[Sequence[float] | None], name: str, path: Path) -> int:
    """Write vectors that a file has brought, one for each item, scaled to unit length.

    Answers how many have one; zeros are none. Raises DataRefused for numbers that are none,
    and for vectors of different lengths.
    """
    lengths = {len(each) for each in vectors if each is not None}
    if len(lengths) != 1:
        raise DataRefused(f"{name}: its vectors have {sorted(lengths)} numbers; all need as many")
    (width,) = lengths
    rows = np.zeros((len(vectors), width), dtype=np.float32)
    for row, each in enumerate(vectors):
        if each is not None:
            rows[row] = each
    bad = int((~np.isfinite(rows)).any(axis=1).sum())
    if bad:
        raise DataRefused(f"{name}: {bad} of {len(rows)} vectors hold NaN or infinite numbers")
    sizes = np.linalg.norm(rows, axis=1, keepdims=True)
    np.save(path, np.divide(rows, sizes, out=rows, where=sizes > 0).astype(np.float16))
    return int(np.count_nonzero(sizes))


def _new_file(path: Path, shape: tuple[int, int]) -> NDArray[np.float16]:
    if not shape[0]:  # nothing can be mapped
        np.save(path, np.zeros(shape, dtype=np.float16))
        return np.zeros(shape, dtype=np.float16)
    mapped: NDArray[np.float16] = np.lib.format.open_memmap(
        path, mode="w+", dtype=np.float16, shape=shape
    )
    return mapped
