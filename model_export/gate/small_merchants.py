"""A check to plug in: small merchants must not lose their place in what is shown.

::

    python -m model_export promote … --check model_export.gate.small_merchants:SmallMerchants

A place in a list is worth what it is worth to NDCG, 1 / log2(rank + 1): its *exposure*
(Singh and Joachims, "Fairness of Exposure in Rankings", 2018). The small merchants are as
many of the smallest as have no more than a fifth of the training part's interactions
together. For another tolerance, name an object of your own module:
``check = SmallMerchants(tolerance=0.05)``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from model_export.dataset import TRAIN, Prepared
from model_export.evaluation.cases import Ranking
from model_export.evaluation.metrics import DISCOUNT, TOP
from model_export.evaluation.segments import ALL, Question, whole
from model_export.gate.comparison import Comparison
from model_export.gate.quality import not_worse
from model_export.gate.verdict import NOT_JUDGED, Verdict, verdict
from model_export.gate.words import percent
from services.shared.model_input import TARGETS

PREFIX: Final = "merchant:"
"""How the names of features begin that tell a product's merchant."""
SMALL_SHARE: Final = 0.2
"""Of the training interactions; what the small merchants have together."""
TOLERANCE: Final = 0.1
FIGURE: Final = "exposure of small merchants"


class SmallMerchants:
    """Small merchants keep their share of what is shown, but for a tolerance."""

    name = "small merchants"

    def __init__(self, tolerance: float = TOLERANCE) -> None:
        """``tolerance`` is the share of that share that may be lost."""
        self._tolerance = tolerance

    def judge(self, comparison: Comparison) -> Verdict:
        """See :class:`model_export.gate.verdict.Check`."""
        merchants = merchants_of(comparison.data)
        if merchants is None:
            return Verdict(
                self.name,
                NOT_JUDGED,
                "merchants unknown: the data has no feature whose name begins with "
                f"'{PREFIX}'; prepare it with the column merchant_id",
            )
        is_small = small(merchants, comparison.data)
        if not is_small.any():
            share = percent(SMALL_SHARE)
            return Verdict(
                self.name, NOT_JUDGED, f"every merchant has more than {share} of the interactions"
            )

        def exposure(question: Question, rankings: Sequence[Ranking]) -> NDArray[np.float64]:
            return shares(is_small, [rankings[place] for place in question.places.tolist()])

        question = next(each for each in whole(comparison.cases) if each.name == ALL)
        found = comparison.differences([question], exposure)
        (interval,) = found.one_by_one(comparison.settings.confidence)
        finding = not_worse(question, FIGURE, float(found.current[0]), interval, self._tolerance)
        kept = percent(1 - self._tolerance)
        return verdict(self.name, [finding], passed=f"they keep {kept} of their exposure or more")


def merchants_of(data: Prepared) -> NDArray[np.int64] | None:
    """[items] a number for each item's merchant, -1 where it is unknown; None if all are."""
    if data.content is None:
        return None
    numbers = [
        number for number, name in enumerate(data.content.names, 1) if name.startswith(PREFIX)
    ]
    told = np.isin(data.content.features, numbers) & (data.content.features > 0)
    if not told.any():
        return None
    first = told.argmax(axis=1)
    rows = np.arange(len(first))
    return np.where(told[rows, first], data.content.features[rows, first], -1).astype(np.int64)


def small(merchants: NDArray[np.int64], data: Prepared) -> NDArray[np.bool_]:
    """[items] whether the item is a small merchant's."""
    seen = data.items[(data.parts == TRAIN) & np.isin(data.actions, TARGETS)]
    owners = merchants[seen]
    names = np.unique(merchants[merchants >= 0])
    counts = np.bincount(owners[owners >= 0], minlength=int(names[-1]) + 1)[names]
    order = np.argsort(counts, kind="stable")
    taken = np.cumsum(counts[order])
    few = names[order[taken <= SMALL_SHARE * max(1, taken[-1])]]
    return np.isin(merchants, few)


def shares(is_small: NDArray[np.bool_], rankings: Sequence[Ranking]) -> NDArray[np.float64]:
    """[C] the share of each list's exposure that small merchants have; 0 of an empty one."""
    found = np.zeros(len(rankings))
    for row, ranking in enumerate(rankings):
        shown = ranking.every[:TOP]
        worth = DISCOUNT[: len(shown)]
        found[row] = (worth * is_small[shown]).sum() / max(worth.sum(), DISCOUNT[-1])
    return found
