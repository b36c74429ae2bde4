"""Bundles of many made-up products, for benches."""

from __future__ import annotations

from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from onnx import helper

from services.shared.item_vectors import FullVectors
from services.shared.product_codes import CENTROIDS, CodedVectors
from tests.tiny_bundle import DEFAULTS, encoder_inputs, golden_of, seal, write_graph, write_json

DIMENSIONS: Final = 64
CODE: Final = 8


class Size(NamedTuple):
    """A catalogue to measure with."""

    name: str
    products: int
    coded: bool


def made(folder: Path, size: Size, seed: int) -> Path:
    """A bundle of made-up products; the odd ones have a hundredth of others, in another order."""
    folder.mkdir(parents=True)
    draw, count = np.random.default_rng(seed), size.products
    ids = [
        f"product-{number:08}" for number in range(seed * count // 100, seed * count // 100 + count)
    ]
    if seed:
        draw.shuffle(ids)
    vectors: FullVectors | CodedVectors
    if size.coded:
        books = draw.standard_normal((CODE, CENTROIDS, DIMENSIONS)).astype(np.float32)
        codes = draw.integers(0, CENTROIDS, (count + 1, CODE)).astype(np.uint8)
        np.save(folder / "codes.npy", codes)
        np.save(folder / "codebooks.npy", books)
        vectors = CodedVectors(codes, books)
    else:
        table = draw.standard_normal((count + 1, DIMENSIONS)).astype(np.float16)
        table[0] = 0
        np.save(folder / "items.npy", table)
        vectors = FullVectors(table)
    nodes = [helper.make_node("ReduceSum", ["vectors", "axes"], ["query"], keepdims=0)]
    write_graph(folder / "encoder.onnx", nodes, encoder_inputs(DIMENSIONS), ("query", DIMENSIONS))
    np.save(folder / "popularity.npy", draw.integers(0, 99, count + 1).astype(np.int32))
    write_json(folder / "vocabulary.json", ids)
    write_json(folder / "settings.json", {**DEFAULTS, "dimensions": DIMENSIONS})
    write_json(folder / "report.json", {})
    golden = golden_of(vectors)
    np.savez(folder / "golden.npz", **golden)  # type: ignore[arg-type]  # stubs mix up allow_pickle
    seal(folder, version=f"v{seed}")
    return folder
