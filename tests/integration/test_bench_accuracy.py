"""The contenders of ``make bench-library`` learn, and measure themselves by the project's ruler."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch

from model_export.dataset import HELD_OUT
from model_export.evaluation.metrics import hit_rate, ndcg
from model_export.modelling.model import Model
from model_export.preparation.prepare import prepare_leave_one_out
from model_export.preparation.sources import read_s3rec
from model_export.settings import TrainSettings
from model_export.training.blend import Weights
from services.shared.repeat import MASKED
from tests.accuracy_parts import small_file, task
from tests.bench.accuracy.contenders import ATTUNE, RECTOOLS_PYTHON
from tests.bench.accuracy.contract import Epoch
from tests.bench.accuracy.held_out import read
from tests.bench.accuracy.racing import Contender, race
from tests.bench.accuracy.scoring import Blend, Scorer

CHECKED = Contender("rectools", (str(RECTOOLS_PYTHON), "-m", "tests.rectools_recommending"))


def test_rectools(tmp_path: Path) -> None:
    """It learns; its figures are those of the library's own lists by the project's metrics."""
    if not RECTOOLS_PYTHON.exists():
        pytest.skip("no .venv-rectools: make bench-library makes it")
    data = small_file(tmp_path, users=150, items=60)
    options = {"width": 16, "negatives": 16, "learning_rate": 0.01}
    seen: list[Epoch] = []
    run = race(CHECKED, task(data, **options), tmp_path / "log", seen.append)
    assert len(run.epochs) == 4
    assert run.epochs[run.outcome.epoch - 1].validation.ndcg == run.best_ndcg
    assert run.best_ndcg > 1.5 * run.epochs[0].validation.ndcg
    last = (tmp_path / "log").read_bytes().splitlines()[-1]
    lists = [np.array(each) for each in msgspec.json.decode(last, type=list[list[int]])]
    pairs = list(zip(lists, read(data).test[:, None], strict=True))
    masked = run.outcome.masked
    assert masked.recall == pytest.approx(np.mean([hit_rate(*pair) for pair in pairs]))
    assert masked.ndcg == pytest.approx(np.mean([ndcg(*pair) for pair in pairs]))


def test_attune(tmp_path: Path) -> None:
    """It learns; each protocol has its figures."""
    told = {"dimensions": 16, "negatives": 16, "max_length": 10, "refit": 1, "blend": 1}
    told["codes"] = 1
    data = small_file(tmp_path, users=150, items=60)
    run = race(ATTUNE, task(data, **told), tmp_path / "log", lambda _: None)
    outcome = run.outcome
    assert run.best_ndcg > 0.5
    protocols = outcome.masked, outcome.blended, outcome.coded, outcome.refit, outcome.refit_blended
    assert all(each is not None and each.recall > 0.3 for each in protocols)
    assert outcome.unmasked.ndcg < outcome.masked.ndcg
    assert (outcome.settings["max_length"], outcome.settings["architecture"]) == (10, "causal")


def test_a_blend_is_scored_as_a_server_would(tmp_path: Path) -> None:
    """The model's scores, and so much of likeness to the history and of first purchases."""
    data = prepare_leave_one_out(read_s3rec(small_file(tmp_path, users=150, items=60)))
    shape = TrainSettings(dimensions=8, max_length=10).shape(products=60, features=0, text=0)
    no_content = torch.zeros(61, 0, dtype=torch.int32), torch.zeros(61, 0)
    model = Model(shape, torch.ones(61, dtype=torch.bool), *no_content).eval()
    scorer = Scorer(60, np.arange(1, 61), 10)
    signals = scorer.signals(data, before=HELD_OUT)
    histories = [np.array([3, 6, 9]), np.array([60])]
    (plain,) = scorer.blocks(model, histories)
    for near, first in ((0.0, 0.0), (0.5, 0.0), (0.0, 2.0)):
        blend = Blend(Weights(near, first, 0.0, MASKED, 0.0, 0.0), signals)
        (found,) = scorer.blocks(model, histories, blend)
        for row, history in enumerate(histories):
            likes = np.zeros(61)
            for item in history:
                rows, weights = signals.neighbours.scores(np.array([item]), np.ones(1, np.float32))
                likes[rows] += weights
            wanted = plain[row] + near * likes + first * signals.first
            np.testing.assert_allclose(found[row, 1:], wanted[1:], rtol=1e-5)
