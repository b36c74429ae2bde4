"""How well bundles would have foretold what was then bought, basket by basket."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from model_export import prepared_folder
from model_export.evaluation.evaluate import held_out, owners
from model_export.evaluation.metrics import Interval, interval, ndcg
from model_export.evaluation.model_ranker import ModelRanker
from model_export.preparation.archive import archive_feed
from model_export.preparation.splits import ByTime
from model_export.preparation.stage import Wanted, prepare
from services.shared.bundle import load_bundle
from tests.archive_parts import MASTER
from tests.bench.loop.keeping import DAYS, Keeping, begin_of

SEED = 1


class Foretold(NamedTuple):
    """NDCG@10 of a period's baskets by two bundles."""

    frozen: NDArray[np.float64]
    """[cases]"""
    loop: NDArray[np.float64]
    users: NDArray[np.int64]

    def intervals(self) -> tuple[Interval, Interval, Interval]:
        """Of the frozen one, of the loop's, and of what the loop is above; over shoppers."""
        frozen, loop = self.frozen, self.loop
        each = (frozen, loop, loop - frozen)
        first, second, gain = (interval(values, self.users, seed=SEED) for values in each)
        return first, second, gain


def foretold(keeping: Keeping, period: int, frozen: Path, loop: Path) -> Foretold:
    """What both say of the period that the archive has taken last.

    Each basket is foretold from all of its shopper before it, as a server would know it, also from
    earlier ones of the period; the bundles are of before the period.
    """
    folder = keeping.folder / "asked"
    prepare(archive_feed(keeping.archive, MASTER), Wanted(split=ByTime(DAYS, 1)), folder)
    data = prepared_folder.load(folder)
    begin = int(begin_of(period).timestamp() * 1e6)
    cases = [case for case in held_out(data) if data.at[case.before.stop] >= begin]

    def by(bundle: Path) -> NDArray[np.float64]:
        ranked = ModelRanker(data, load_bundle(bundle)).rank(cases)
        found = [ndcg(each.every, case.relevant) for each, case in zip(ranked, cases, strict=True)]
        return np.array(found)

    first = by(frozen)
    return Foretold(first, first if loop == frozen else by(loop), owners(cases))
