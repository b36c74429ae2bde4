"""Makes a bundle of a checkpoint: graph, table, golden outputs, report, manifest.

The same checkpoint and data give the same bytes. What is exported is proven on the way:
ONNX Runtime must compute what torch does, and the report's figures are those of the
finished files, read back as a server reads them.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

from model_export.dataset import HELD_OUT, Prepared
from model_export.errors import DataRefused, ParityBroken
from model_export.evaluation.baselines import purchases
from model_export.evaluation.evaluate import Evaluation, Progress, evaluate
from model_export.exporting import graph
from model_export.exporting.golden import golden_inputs
from model_export.exporting.seal import report_bytes, seal
from model_export.modelling.model import Model
from model_export.training.checkpoint import Checkpoint
from services.shared.bundle import MANIFEST, ModelSettings, load_bundle
from services.shared.encoder import Encoder, check_golden, top_products
from services.shared.model_input import ACTIONS, GAP_BUCKETS

PARITY: Final = 1e-4
"""How far ONNX Runtime may be from torch in any component of any golden query."""
POPULARITY_DAYS: Final = 28


def export(
    data: Prepared,
    model: Model,
    checkpoint: Checkpoint,
    target: Path,
    *,
    progress: Progress = lambda _: None,
) -> Evaluation:
    """Write the bundle to ``target``, replacing one that is there; answers its report.

    Raises DataRefused where the checkpoint is of other data or ``target`` holds something
    else, ParityBroken where the graph does not compute what the model does.
    """
    if checkpoint.data != data.source:
        raise DataRefused(
            f"the checkpoint was trained on other data than {data.source.name}, or on the same "
            "split otherwise: its report would foretell what it was trained on"
        )
    if target.exists() and not (target / MANIFEST).is_file() and any(target.iterdir()):
        raise DataRefused(f"{target} is there and is no bundle; name an empty or new folder")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}-") as beside:
        made, before = Path(beside) / "made", Path(beside) / "before"
        made.mkdir()
        evaluation = _make(model.eval(), checkpoint, data, made, progress)
        if target.exists():
            target.rename(before)
        made.rename(target)
    return evaluation


def _make(
    model: Model, checkpoint: Checkpoint, data: Prepared, folder: Path, progress: Progress
) -> Evaluation:
    """Fill ``folder`` and prove what is in it."""
    progress("graph")
    _write_model(model, checkpoint, data, folder)
    progress("parity and golden outputs")
    _write_golden(model, data, checkpoint, folder)
    (folder / "report.json").write_bytes(b"{}\n")
    seal(folder, data, checkpoint, None)
    bundle = load_bundle(folder)
    check_golden(bundle, Encoder(bundle))
    evaluation = evaluate(data, bundle, progress=progress)
    (folder / "report.json").write_bytes(report_bytes(evaluation))
    seal(folder, data, checkpoint, evaluation)
    load_bundle(folder)
    return evaluation


def _write_model(model: Model, checkpoint: Checkpoint, data: Prepared, folder: Path) -> None:
    """Everything that does not need the finished graph."""
    table = model.items.vectors().numpy().astype(np.float16)
    np.save(folder / "items.npy", table)
    (folder / "encoder.onnx").write_bytes(graph.onnx_bytes(model))
    (folder / "vocabulary.json").write_bytes(msgspec.json.encode(checkpoint.product_ids))
    bought = purchases(data, before=HELD_OUT, days=POPULARITY_DAYS)
    codes = np.searchsorted(data.ids.items, checkpoint.product_ids)
    popularity = np.concatenate([[0], bought[codes]]).astype(np.int32)
    np.save(folder / "popularity.npy", popularity)
    settings = ModelSettings(
        max_length=model.shape.max_length,
        dimensions=model.shape.dimensions,
        gap_buckets=GAP_BUCKETS,
        actions=dict(ACTIONS),
    )
    (folder / "settings.json").write_bytes(msgspec.json.encode(settings) + b"\n")


def _write_golden(model: Model, data: Prepared, checkpoint: Checkpoint, folder: Path) -> None:
    """Golden inputs with torch's outputs, once ONNX Runtime was held to them."""
    inputs = golden_inputs(data, checkpoint)
    actions, gaps = (torch.from_numpy(each) for each in inputs[1:])
    table = np.load(folder / "items.npy").astype(np.float32)
    vectors = table[inputs[0]]
    with torch.no_grad():
        queries = graph.Serving(model)(torch.from_numpy(vectors), actions, gaps).numpy()
    found = graph.run(folder / "encoder.onnx", vectors, *inputs[1:])
    check_parity(found, queries)
    scores = queries @ table.T
    np.savez_compressed(
        folder / "golden.npz",
        items=inputs[0],
        actions=inputs[1],
        gaps=inputs[2],
        queries=queries,
        top10=top_products(scores),
    )


def check_parity(found: NDArray[np.float32], expected: NDArray[np.float32]) -> None:
    """Raise ParityBroken where a query [G,d] differs by more than :data:`PARITY`."""
    drift = np.abs(found - expected).max(axis=1)
    if not (drift <= PARITY).all():
        worst = int(drift.argmax())
        raise ParityBroken(
            f"golden input {worst}: ONNX Runtime differs from torch by {drift[worst]:.2g}, "
            f"allowed is {PARITY}"
        )
