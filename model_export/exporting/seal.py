"""Writes what closes a bundle: its report and its manifest."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Final

import msgspec

from model_export.dataset import Prepared
from model_export.evaluation.evaluate import Evaluation
from model_export.exporting.origin import origin
from model_export.exporting.writing import write_bytes
from model_export.training.checkpoint import Checkpoint
from services.shared import (
    bundle,
    content_tower,
    encoder,
    model_input,
    neighbours,
    product_codes,
    profile,
    repeat,
    scores,
)
from services.shared.bundle import FILES, MANIFEST, SCHEMA, Manifest
from services.shared.bundle_files import sha256_of

DECIDING: Final = (
    bundle,
    content_tower,
    encoder,
    model_input,
    neighbours,
    product_codes,
    profile,
    repeat,
    scores,
)
"""What services share that decides what a bundle holds, or what its report says."""


def seal(
    folder: Path, data: Prepared, checkpoint: Checkpoint, evaluation: Evaluation | None
) -> None:
    """Write the manifest of the files in ``folder``; their sums name the version."""
    there = [name for name in FILES if (folder / name).is_file()]
    files = {name: sha256_of(folder / name) for name in there}
    whole = hashlib.sha256("".join(files.values()).encode()).hexdigest()
    manifest = Manifest(
        schema=SCHEMA,
        version=f"{Path(data.source.name).name.split('.')[0]}-{whole[:12]}",
        created_from=_origin(data, checkpoint),
        code_revision=code_revision(),
        seed=checkpoint.settings.seed,
        metrics=_metrics(evaluation) if evaluation else {},
        files=files,
    )
    write_bytes(folder / MANIFEST, _pretty(manifest))


def report_bytes(evaluation: Evaluation) -> bytes:
    """The report as JSON for people and programs."""
    return _pretty(evaluation)


def code_revision() -> str:
    """A short SHA-256 of the source that makes bundles.

    Not the revision of a repository: a copy without one, or a commit that touches other
    files, makes the same bundle.
    """
    ours = sorted(Path(__file__).parents[1].rglob("*.py"))
    shared = [Path(str(module.__file__)) for module in DECIDING]
    texts = [hashlib.sha256(path.read_bytes()).hexdigest() for path in [*ours, *shared]]
    return hashlib.sha256("".join(texts).encode()).hexdigest()[:16]


def _origin(data: Prepared, checkpoint: Checkpoint) -> dict[str, str | int | float | bool]:
    settings: dict[str, str | int | float | bool] = msgspec.structs.asdict(checkpoint.settings)
    coded = checkpoint.as_codes
    return {
        **origin(data.source),
        "best_epoch": checkpoint.epoch,
        **({"best_epoch_as_codes": coded.epoch} if coded else {}),
        **{f"made_with.{name}": number for name, number in checkpoint.versions.items()},
        **{f"train.{name}": value for name, value in settings.items()},
    }


def _metrics(evaluation: Evaluation) -> dict[str, float]:
    """The model's own figures, such as ``ndcg_at_10_all``."""
    found: dict[str, float] = {}
    for row in evaluation.rows:
        if row.method == "model":
            found[f"hit_rate_at_10_{row.purchases}"] = row.hit_rate.mean
            found[f"recall_at_10_{row.purchases}"] = row.recall.mean
            found[f"ndcg_at_10_{row.purchases}"] = row.ndcg.mean
    return found


def _pretty(value: Any) -> bytes:
    return msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n"
