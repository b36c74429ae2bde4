"""A model bundle small enough to reason about: made by tests, loaded by the real server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from services.shared.bundle import FILES, GOLDEN_LEAST, sha256_of
from services.shared.encoder import top_products
from services.shared.model_input import ACTIONS, GAP_BUCKETS

MAX_LENGTH = 8
VERSION = "tiny-1"


def make_bundle(
    folder: Path,
    vectors: Mapping[str, Sequence[float]],
    *,
    popularity: Mapping[str, int] | None = None,
) -> Path:
    """Write a bundle of ``vectors`` (product id → d numbers, exact in float16) to ``folder``.

    Its encoder adds up the vectors of the history, so a score is the sum of the products'
    likenesses to what the shopper did; padding is zeros and adds nothing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    table = np.array([[0.0] * len(next(iter(vectors.values()))), *vectors.values()], np.float16)
    counts = [0, *((popularity or {}).get(product, 0) for product in vectors)]
    _write_encoder(folder / "encoder.onnx", table.shape[1])
    np.save(folder / "items.npy", table)
    np.save(folder / "popularity.npy", np.array(counts, np.int32))
    settings = {
        "max_length": MAX_LENGTH,
        "dimensions": table.shape[1],
        "gap_buckets": GAP_BUCKETS,
        "actions": dict(ACTIONS),
    }
    _write_json(folder / "vocabulary.json", list(vectors))
    _write_json(folder / "settings.json", settings)
    _write_json(folder / "report.json", {})
    np.savez(folder / "golden.npz", **_golden(table.astype(np.float32)))  # type: ignore[arg-type]  # stubs mix up allow_pickle
    manifest = {
        "schema": 1,
        "version": VERSION,
        "created_from": {},
        "code_revision": "test",
        "seed": 0,
        "metrics": {},
        "files": {name: sha256_of(folder / name) for name in FILES},
    }
    _write_json(folder / "manifest.json", manifest)
    return folder


def _write_json(path: Path, value: object) -> None:
    path.write_bytes(msgspec.json.encode(value))


def _write_encoder(path: Path, dimensions: int) -> None:
    rows = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("ReduceSum", ["vectors", "axes"], ["query"], keepdims=0)],
        "sum",
        [
            rows("vectors", TensorProto.FLOAT, ["B", "L", dimensions]),
            rows("actions", TensorProto.INT64, ["B", "L"]),
            rows("gaps", TensorProto.INT64, ["B", "L"]),
        ],
        [rows("query", TensorProto.FLOAT, ["B", dimensions])],
        [helper.make_tensor("axes", TensorProto.INT64, [1], [1])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, path)


def _golden(table: NDArray[np.float32]) -> dict[str, NDArray[np.generic]]:
    items = np.zeros((GOLDEN_LEAST, MAX_LENGTH), np.int32)
    items[:, -1] = 1 + np.arange(GOLDEN_LEAST) % (len(table) - 1)
    queries = table[items].sum(axis=1)
    return {
        "items": items,
        "actions": (items > 0).astype(np.int64),
        "gaps": np.zeros_like(items, dtype=np.int64),
        "queries": queries,
        "top10": top_products(queries @ table.T),
    }
