"""A contender: rectools', and at last on standard error what the library itself recommends.

Runs in ``.venv-rectools``, where the project's own code cannot be imported: so it leaves the
lists, a list of ten items for each user, for others to measure.
"""

from __future__ import annotations

import sys

import msgspec
import numpy as np
from rectools import Columns

from tests.bench.accuracy.contract import task_of
from tests.bench.accuracy.rectools_contender import compete, dataset_of
from tests.bench.accuracy.ruler import TOP


def main() -> None:
    """Compete, then tell the library's own lists."""
    model, held = compete(task_of(sys.argv[1:]))
    users = np.arange(len(held.test))
    listed = model.recommend(users, dataset_of(held.before_test()), k=TOP, filter_viewed=True)
    lists = listed.sort_values([Columns.User, Columns.Rank]).groupby(Columns.User)[Columns.Item]
    ranked = [[int(item) for item in lists.get_group(user)] for user in users]
    sys.stderr.write("\n" + msgspec.json.encode(ranked).decode())


if __name__ == "__main__":
    main()
