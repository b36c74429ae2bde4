"""The contenders of ``make bench-library`` learn, and measure themselves by the project's ruler."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from tests.accuracy_parts import small_file, task
from tests.bench.accuracy.contenders import RECTOOLS_PYTHON
from tests.bench.accuracy.contract import Epoch, Figures
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
    listed = msgspec.json.decode(last, type=Figures)
    assert run.outcome.masked.recall == pytest.approx(listed.recall)
    assert run.outcome.masked.ndcg == pytest.approx(listed.ndcg)
