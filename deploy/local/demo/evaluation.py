"""The model beside simple rivals, on purchases that it was not trained on."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from deploy.local.demo.narration import Narrator
from model_export.evaluation.evaluate import Evaluation, Row, evaluate
from model_export.evaluation.metrics import Interval
from model_export.preparation.prepare import prepare_complete_journey
from services.shared.bundle import load_bundle

QUESTIONS: Final = {
    "all": "What will be in the next basket?",
    "new": "And which products that the household has never bought before?",
}


def evaluate_bundle(bundle: Path, narrator: Narrator) -> Evaluation:
    """Rank the held-out baskets with the bundle and its rivals, and print the table."""
    data, model = prepare_complete_journey(), load_bundle(bundle)
    result = evaluate(data, model, progress=lambda step: narrator.say(f"  … {step}"))
    sold = len(np.unique(data.items))
    narrator.say(
        f"  {result.cases:,} baskets of {result.users:,} households, each foretold from what came "
        f"before it, over the whole catalogue: {result.catalogue_size:,} products, of which "
        f"{sold:,} were ever sold and {len(model.vocabulary):,} the model "
        "has a place for"
    )
    for purchases, question in QUESTIONS.items():
        rows = [row for row in result.rows if row.purchases == purchases]
        best = max(rows, key=lambda row: row.ndcg.mean)
        narrator.say(f"\n  {question} (in brackets: 95 % confidence)")
        narrator.table(("method", "#hit rate@10", "#NDCG@10"), [_cells(row, best) for row in rows])
    return result


def _cells(row: Row, best: Row) -> tuple[str, str, str]:
    mark = "  ← best" if row is best else ""
    return row.method + mark, _interval(row.hit_rate), _interval(row.ndcg)


def _interval(figure: Interval) -> str:
    return f"{figure.mean:.3f} ({figure.low:.3f}-{figure.high:.3f})"
