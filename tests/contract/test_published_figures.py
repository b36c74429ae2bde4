"""Our protocol is that of the papers: on their files a known baseline has its known figures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from model_export.dataset import HELD_OUT
from model_export.evaluation.baselines import Popularity
from model_export.evaluation.cases import cases_of
from model_export.evaluation.metrics import hit_rate
from model_export.preparation.prepare import prepare_leave_one_out
from model_export.preparation.sources import read_s3rec

BEAUTY = Path(__file__).parents[3] / "shared/data/amazon-5core/Beauty.txt.gz"
PUBLISHED = 0.0115
"""Hit rate at 10 of popularity on Beauty: leave-one-out, all items ranked (S3-Rec, 2020)."""


def test_popularity_on_beauty() -> None:
    """22,363 users, 12,101 items, each user's last item foretold from all before it."""
    if not BEAUTY.exists():
        pytest.skip(f"the file of the papers is not here: {BEAUTY.name} of amazon-5core")
    data = prepare_leave_one_out(read_s3rec(BEAUTY))
    cases = cases_of(data, HELD_OUT)
    assert (len(cases), len(data.ids.items), data.source.rows_kept) == (22_363, 12_101, 198_502)
    rankings = Popularity(data, before=HELD_OUT, days=None).rank(cases)
    hits = [hit_rate(each.every, case.relevant) for each, case in zip(rankings, cases, strict=True)]
    assert np.mean(hits) == pytest.approx(PUBLISHED, abs=0.0002)
