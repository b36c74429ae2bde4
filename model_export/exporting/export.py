"""Makes a bundle of a trained model: graph, vectors, golden outputs, report, card, manifest.

The same model and data give the same bytes. What is exported is proven on the way:
ONNX Runtime must compute what the network does, and the report's figures are those of the
finished files, read back as a server reads them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np

from model_export.card.card import card
from model_export.card.contents import Facts
from model_export.dataset import HELD_OUT, Prepared
from model_export.errors import DataRefused, ParityBroken
from model_export.evaluation.baselines import purchases
from model_export.evaluation.evaluate import Evaluation, Progress, evaluate
from model_export.evaluation.learning_curve import LearningCurve
from model_export.exporting import writing
from model_export.exporting.golden import golden_inputs
from model_export.exporting.parts import ModelParts
from model_export.exporting.placing import appearing
from model_export.exporting.seal import report_bytes, seal
from model_export.training.checkpoint import Checkpoint
from services.shared.bundle import MANIFEST, Bundle, load_bundle
from services.shared.bundle_settings import ModelSettings
from services.shared.content_tower import ContentTower
from services.shared.encoder import Encoder, check_golden, load_graph
from services.shared.golden import TOP
from services.shared.item_vectors import Floats, FullVectors, ItemVectors
from services.shared.model_input import ACTIONS, GAP_BUCKETS, TARGET_NAMES
from services.shared.scores import best

PARITY: Final = 1e-4
"""How far ONNX Runtime may be from the network in any component of any golden query."""
POPULARITY_DAYS: Final = 28


def export(
    data: Prepared,
    parts: ModelParts,
    checkpoint: Checkpoint,
    target: Path,
    *,
    curve: LearningCurve | None = None,
    progress: Progress = lambda _: None,
) -> Evaluation:
    """Write the bundle to ``target``, replacing one that is there; answers its report.

    ``curve`` goes into the card, if it was measured. Raises DataRefused where the checkpoint is of
    other data, its vectors are no numbers or ``target`` holds something else, ParityBroken where
    the graph does not compute what the model does, BundleNotWritten where the disk does not take
    it. Whatever is raised, what was there is untouched.
    """
    if checkpoint.data != data.source:
        raise DataRefused(
            f"the checkpoint was trained on other data than {data.source.name}, or on the same "
            "split otherwise: its report would foretell what it was trained on"
        )
    if target.exists() and not (target / MANIFEST).is_file() and any(target.iterdir()):
        raise DataRefused(f"{target} is there and is no bundle; name an empty or new folder")
    with appearing(target) as made:
        bundle = write_bundle(data, parts, checkpoint, made, progress=progress)
        evaluation = evaluate(data, bundle, progress=progress)
        blend, repeat = bundle.settings.blend, bundle.repeat
        _close(Facts(data, checkpoint, blend, repeat, evaluation, curve), made, progress)
    return evaluation


def write_bundle(
    data: Prepared,
    parts: ModelParts,
    checkpoint: Checkpoint,
    folder: Path,
    *,
    progress: Progress = lambda _: None,
) -> Bundle:
    """Fill an empty ``folder`` with a bundle that is whole and proven, and has no report yet.

    Raises DataRefused where vectors are no numbers, ParityBroken.
    """
    check_vectors(parts.item_vectors, checkpoint.product_ids)
    vectors: ItemVectors = parts.codes or FullVectors(parts.item_vectors.astype(np.float16))
    _write(data, parts, checkpoint, vectors, folder, progress)
    seal(folder, data, checkpoint, None)
    bundle = load_bundle(folder)
    check_golden(bundle, Encoder(bundle))
    return bundle


def check_vectors(vectors: Floats, product_ids: list[str]) -> None:
    """Raise DataRefused where a vector [n, d] of the products has NaN, or numbers too large."""
    stored = vectors.astype(np.float16)
    wrong = np.flatnonzero(~np.isfinite(stored).all(axis=1))
    if len(wrong):
        products = ", ".join(repr(product_ids[row - 1]) for row in wrong[:3].tolist())
        raise DataRefused(
            f"the checkpoint's vectors of {len(wrong)} products ({products}, …) are NaN or too "
            "large: the training went astray; train again with a lower --learning-rate"
        )


def check_parity(found: Floats, expected: Floats, what: str = "golden input") -> None:
    """Raise ParityBroken where a vector [G,d] differs by more than :data:`PARITY`."""
    drift = np.abs(found - expected).max(axis=1)
    if not (drift <= PARITY).all():
        worst = int(drift.argmax())
        raise ParityBroken(
            f"{what} {worst}: ONNX Runtime differs from torch by {drift[worst]:.2g}, "
            f"allowed is {PARITY}"
        )


def _write(
    data: Prepared,
    parts: ModelParts,
    checkpoint: Checkpoint,
    vectors: ItemVectors,
    folder: Path,
    progress: Progress,
) -> None:
    """All files but manifest and card; the report is empty."""
    progress("graph")
    writing.write_bytes(folder / "encoder.onnx", parts.graph())
    progress("parity and golden outputs")
    bought = purchases(data, before=HELD_OUT, days=POPULARITY_DAYS)
    codes = np.searchsorted(data.ids.items, checkpoint.product_ids)
    settings = _settings(parts, vectors)
    writing.write_json(folder / "settings.json", settings)
    writing.write_json(folder / "vocabulary.json", checkpoint.product_ids)
    writing.write_array(
        folder / "popularity.npy", np.concatenate([[0], bought[codes]]).astype(np.int32)
    )
    writing.write_vectors(folder, vectors)
    writing.write_blend(folder, parts)
    golden = _golden(data, parts, checkpoint, vectors, settings, folder)
    writing.write_arrays(folder / "golden.npz", golden)
    writing.write_bytes(folder / "report.json", b"{}\n")


def _close(facts: Facts, folder: Path, progress: Progress) -> None:
    """Write the report and the model card, and seal the bundle."""
    progress("model card")
    writing.write_bytes(folder / "report.json", report_bytes(facts.evaluation))
    for name, content in card(facts).items():
        writing.write_bytes(folder / name, content)
    seal(folder, facts.data, facts.checkpoint, facts.evaluation)
    load_bundle(folder)


def _settings(parts: ModelParts, vectors: ItemVectors) -> ModelSettings:
    searches = "search" in parts.reads and parts.tower is not None
    return ModelSettings(
        max_length=parts.max_length,
        dimensions=vectors.dimensions,
        gap_buckets=GAP_BUCKETS,
        actions=dict(ACTIONS),
        targets=TARGET_NAMES,
        wanted=parts.wanted,
        blend=parts.blend,
        reads=parts.reads,
        text_encoder=parts.tower.content.text_encoder if searches and parts.tower else "",
    )


def _golden(
    data: Prepared,
    parts: ModelParts,
    checkpoint: Checkpoint,
    vectors: ItemVectors,
    settings: ModelSettings,
    folder: Path,
) -> dict[str, Any]:
    """Golden inputs with the network's outputs, once ONNX Runtime was held to them."""
    inputs = golden_inputs(data, checkpoint, parts.wanted)
    history = vectors.rows(inputs.items)
    queries = parts.queries(history, inputs.actions, inputs.gaps, inputs.wanted)
    feeds = {"vectors": history, **inputs._asdict()}
    del feeds["items"]
    check_parity(load_graph(folder / "encoder.onnx", settings).run(feeds), queries)
    top = [best(vectors.scores(query)[1:], TOP) + 1 for query in queries]
    found = {**inputs._asdict(), "queries": queries, "top10": np.stack(top)}
    if parts.tower is not None:
        placed = parts.tower.golden
        found |= {
            "features": placed.features,
            "text": placed.text,
            "vectors": placed.vectors,
        }
        tower = ContentTower(folder / "tower.onnx", parts.tower.content, settings.dimensions)
        check_parity(
            tower.vectors(placed.features, placed.text), placed.vectors, "content tower: product"
        )
    return found
