"""A model bundle small enough to reason about: made by tests, loaded by the real server."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from services.shared.bundle import FILES
from services.shared.bundle_files import sha256_of
from services.shared.golden import LEAST, TOP
from services.shared.item_vectors import FullVectors, ItemVectors
from services.shared.model_input import ACTIONS, GAP_BUCKETS, TARGET_NAMES
from services.shared.product_codes import CENTROIDS, CodedVectors
from services.shared.scores import best

MAX_LENGTH = 8
VERSION = "tiny-1"
TEXT_ENCODER = "by hand"
DEFAULTS = {
    "max_length": MAX_LENGTH,
    "gap_buckets": GAP_BUCKETS,
    "actions": dict(ACTIONS),
    "targets": TARGET_NAMES,
    "wanted": [0.0, 0.0, 0.0, 1.0],
}
"""Settings of every tiny bundle but its dimensions."""


def make_bundle(
    folder: Path,
    vectors: Mapping[str, Sequence[float]],
    *,
    popularity: Mapping[str, int] | None = None,
    coded: bool = False,
    tower: bool = False,
    **settings: Any,
) -> Path:
    """Write a bundle of ``vectors`` (product id → d numbers, exact in float16) to ``folder``.

    Its encoder adds up the vectors of the history, so a score is the sum of the products'
    likenesses to what the shopper did; padding is zeros and adds nothing. ``coded`` keeps at
    most 255 vectors as product codes, at length 1; ``tower`` adds the tower of :func:`_add_tower`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    table = np.array([[0.0] * len(next(iter(vectors.values()))), *vectors.values()], np.float16)
    counts = [0, *((popularity or {}).get(product, 0) for product in vectors)]
    write_graph(
        folder / "encoder.onnx",
        [helper.make_node("ReduceSum", ["vectors", "axes"], ["query"], keepdims=0)],
        encoder_inputs(table.shape[1]),
        ("query", table.shape[1]),
    )
    known = _write_vectors(folder, table, coded=coded)
    np.save(folder / "popularity.npy", np.array(counts, np.int32))
    write_json(folder / "vocabulary.json", list(vectors))
    write_json(folder / "settings.json", {**DEFAULTS, "dimensions": table.shape[1], **settings})
    write_json(folder / "report.json", {})
    golden = golden_of(known) | (_add_tower(folder, table.shape[1]) if tower else {})
    np.savez(folder / "golden.npz", **golden)  # type: ignore[arg-type]  # stubs mix up allow_pickle
    seal(folder)
    return folder


def seal(folder: Path, **fields: object) -> None:
    """Write the manifest of what is in the folder, as somebody who means to deceive could, too."""
    manifest = {
        "schema": 2,
        "version": VERSION,
        "created_from": {},
        "code_revision": "test",
        "seed": 0,
        "metrics": {},
        "files": {name: sha256_of(folder / name) for name in FILES if (folder / name).exists()},
    }
    write_json(folder / "manifest.json", {**manifest, **fields})


def write_json(path: Path, value: object) -> None:
    """Write a value as JSON."""
    path.write_bytes(msgspec.json.encode(value))


def encoder_inputs(dimensions: int) -> list[onnx.ValueInfoProto]:
    """What every encoder's graph takes."""
    value = helper.make_tensor_value_info
    return [
        value("vectors", TensorProto.FLOAT, ["B", "L", dimensions]),
        value("actions", TensorProto.INT64, ["B", "L"]),
        value("gaps", TensorProto.INT64, ["B", "L"]),
        value("wanted", TensorProto.FLOAT, ["B", len(TARGET_NAMES)]),
    ]


def write_graph(
    path: Path,
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[onnx.ValueInfoProto],
    output: tuple[str, int],
) -> None:
    """Write a graph by hand; its constant ``axes`` is the middle one of three."""
    name, last = output
    graph = helper.make_graph(
        list(nodes),
        "by_hand",
        list(inputs),
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["B", last])],
        [helper.make_tensor("axes", TensorProto.INT64, [1], [1])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, path)


def add_neighbours(folder: Path, likes: Mapping[int, Mapping[int, float]], rows: int) -> None:
    """Write ``neighbours.npz``: product → other product → how much they are alike."""
    flat = [(one, other, like) for one, row in likes.items() for other, like in row.items()]
    flat.sort()
    counts = np.bincount([one for one, _, _ in flat], minlength=rows)
    np.savez(
        folder / "neighbours.npz",
        starts=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        items=np.array([other for _, other, _ in flat], np.int32),
        weights=np.array([like for _, _, like in flat], np.float16),
    )


def _add_tower(folder: Path, dimensions: int) -> dict[str, NDArray[np.generic]]:
    """Write a content tower and answer its golden inputs and outputs.

    A product's vector is the text's, and 1 more in the place of each of its features.
    """
    names = [f"category:{place}" for place in range(dimensions)]
    content = {"names": names, "most_features": 2, "text_dimensions": dimensions}
    write_json(folder / "content.json", {**content, "text_encoder": TEXT_ENCODER})
    value = helper.make_tensor_value_info
    table = np.eye(dimensions + 1, dtype=np.float32)[:, 1:]
    write_graph(
        folder / "tower.onnx",
        [
            helper.make_node("Constant", [], ["table"], value=numpy_helper.from_array(table)),
            helper.make_node("Gather", ["table", "features"], ["each"]),
            helper.make_node("ReduceSum", ["each", "axes"], ["sum"], keepdims=0),
            helper.make_node("Add", ["sum", "text"], ["vector"]),
        ],
        [
            value("features", TensorProto.INT64, ["B", 2]),
            value("text", TensorProto.FLOAT, ["B", dimensions]),
        ],
        ("vector", dimensions),
    )
    features = np.array([[0, 0], [1, 0], [1, 2]], np.int64)
    text = np.full((3, dimensions), 0.5, np.float32)
    return {"features": features, "text": text, "vectors": table[features].sum(axis=1) + text}


def edit_golden(**changed: np.ndarray) -> Callable[[Path], None]:
    """What spoils a bundle's golden answers: arrays in place of its own."""

    def edit(folder: Path) -> None:
        with np.load(folder / "golden.npz") as file:
            arrays = {name: file[name] for name in file.files}
        np.savez(folder / "golden.npz", **{**arrays, **changed})

    return edit


def _write_vectors(folder: Path, table: NDArray[np.float16], *, coded: bool) -> ItemVectors:
    if not coded:
        np.save(folder / "items.npy", table)
        return FullVectors(table)
    books = np.zeros((1, CENTROIDS, table.shape[1]), np.float32)
    books[0, : len(table)] = table
    codes = np.arange(len(table), dtype=np.uint8)[:, None]
    np.save(folder / "codes.npy", codes)
    np.save(folder / "codebooks.npy", books)
    return CodedVectors(codes, books)


def golden_of(vectors: ItemVectors) -> dict[str, NDArray[np.generic]]:
    """Golden inputs, of one product each, and what an encoder gives that adds up vectors."""
    items = np.zeros((LEAST, MAX_LENGTH), np.int32)
    items[:, -1] = 1 + np.arange(LEAST) % (vectors.size - 1)
    queries = vectors.rows(items).sum(axis=1)
    wanted = np.zeros((LEAST, len(TARGET_NAMES)), np.float32)
    wanted[:, -1] = 1
    return {
        "items": items,
        "actions": (items > 0).astype(np.int64),
        "gaps": np.zeros_like(items, dtype=np.int64),
        "wanted": wanted,
        "queries": queries,
        "top10": np.stack([best(vectors.scores(query)[1:], TOP) + 1 for query in queries]),
    }
