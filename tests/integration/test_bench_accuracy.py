"""The contenders of ``make bench-library`` learn, and measure themselves by the project's ruler."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest

from model_export.evaluation.metrics import hit_rate, ndcg
from tests.accuracy_parts import small_file, task
from tests.bench.accuracy.contenders import RECTOOLS_PYTHON
from tests.bench.accuracy.contract import Epoch
from tests.bench.accuracy.held_out import read
from tests.bench.accuracy.racing import Contender, race

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
