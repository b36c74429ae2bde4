"""A contender: rectools', and at last on standard error what the library itself recommends.

Runs in ``.venv-rectools``.
"""

from __future__ import annotations

import sys

import msgspec
import numpy as np
from rectools import Columns

from model_export.evaluation.metrics import TOP, hit_rate, ndcg
from tests.bench.accuracy.contract import Figures, task_of
from tests.bench.accuracy.rectools_contender import compete, dataset_of


def main() -> None:
    """Measure the library's own lists by the project's own metrics."""
    model, held = compete(task_of(sys.argv[1:]))
    users = np.arange(len(held.test))
    listed = model.recommend(users, dataset_of(held.before_test()), k=TOP, filter_viewed=True)
    lists = listed.sort_values([Columns.User, Columns.Rank]).groupby(Columns.User)[Columns.Item]
    ranked = [lists.get_group(user).to_numpy().astype(np.int64) for user in users]
    pairs = list(zip(ranked, held.test[:, None], strict=True))
    recall = np.mean([hit_rate(*pair) for pair in pairs])
    gain = np.mean([ndcg(*pair) for pair in pairs])
    sys.stderr.write("\n" + msgspec.json.encode(Figures(float(recall), float(gain))).decode())


if __name__ == "__main__":
    main()
