"""Proves a bundle: whole, computing here what it did there, and as good as it says."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from model_export.dataset import Prepared
from model_export.errors import DataRefused, ReportWrong
from model_export.evaluation.evaluate import Evaluation, Progress, evaluate
from services.shared.bundle import Bundle, load_bundle
from services.shared.encoder import Encoder, check_golden

TOLERANCE: Final = 1e-3
"""How far a figure may be from the report's: processors round, and a near tie may turn."""


def verify(folder: Path) -> Bundle:
    """Check sums, schema, shapes and golden outputs. Raises BundleRefused."""
    bundle = load_bundle(folder)
    check_golden(bundle, Encoder(bundle))
    return bundle


def verify_report(
    bundle: Bundle, data: Prepared, *, progress: Progress = lambda _: None
) -> Evaluation:
    """Evaluate again and compare. Raises ReportWrong, or DataRefused for other data."""
    origin = bundle.manifest.created_from
    if origin.get("sha256") != data.source.sha256:
        raise DataRefused(
            f"the bundle was made from {origin.get('data')} with SHA-256 {origin.get('sha256')}, "
            f"this is {data.source.name} with {data.source.sha256}"
        )
    said = msgspec.convert(bundle.report, Evaluation)
    found = evaluate(data, bundle, progress=progress)
    if (said.split, said.cases, said.cases_new) != (found.split, found.cases, found.cases_new):
        raise ReportWrong(
            f"the report is about {said.cases} baskets ({said.split}), the data holds out "
            f"{found.cases} ({found.split}): were the same days held out?"
        )
    for one, other in zip(said.rows, found.rows, strict=True):
        for name in ("hit_rate", "recall", "ndcg"):
            reported, again = getattr(one, name).mean, getattr(other, name).mean
            if one.method != other.method or abs(reported - again) > TOLERANCE:
                raise ReportWrong(
                    f"report.json says {name} {reported:.4f} of {one.method} "
                    f"({one.purchases} purchases), evaluating gives {again:.4f}"
                )
    return found
