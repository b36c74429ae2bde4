"""How well rankings answer a question, case by case, so that two methods can be compared.

The same figures as :func:`model_export.evaluation.metrics.hit_rate`, ``recall`` and ``ndcg``,
for all cases at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from model_export.evaluation.cases import Ranking
from model_export.evaluation.metrics import DISCOUNT, TOP, Interval, drawn_means
from model_export.evaluation.segments import Question

Floats = NDArray[np.float64]

FIGURES: Final = ("hit_rate", "recall", "ndcg")
"""The columns of a table of figures."""
NDCG: Final = FIGURES.index("ndcg")
DIGITS: Final = 6


def figures(question: Question, rankings: Sequence[Ranking]) -> Floats:
    """[C, 3] hit rate, recall and NDCG at 10 of each of the question's cases."""
    ranked = np.full((len(question.places), TOP), -1, dtype=np.int64)
    for row, place in enumerate(question.places.tolist()):
        each = rankings[place].new if question.is_new else rankings[place].every
        ranked[row, : len(each)] = each[:TOP]
    sizes = np.array([len(each) for each in question.relevant])
    relevant = np.concatenate(question.relevant).astype(np.int64)
    size = max(int(relevant.max()), int(ranked.max())) + 1
    keys = np.repeat(np.arange(len(sizes)), sizes) * size + relevant
    hits = np.isin(np.arange(len(sizes))[:, None] * size + ranked, keys) & (ranked >= 0)
    most = np.cumsum(DISCOUNT)[np.minimum(sizes, TOP) - 1]
    return np.stack([hits.any(axis=1), hits.sum(axis=1) / sizes, hits @ DISCOUNT / most], axis=1)


def by_user(
    question: Question, values: Floats, users: NDArray[np.integer]
) -> tuple[Floats, Floats]:
    """Sums [U, K] of the cases' ``values`` [C, K] for each user, and how many cases [U, 1].

    ``users`` [all cases] are numbers from 0 to U - 1.
    """
    owner = users[question.places]
    size = int(users.max()) + 1
    sums = [np.bincount(owner, column, minlength=size) for column in values.T]
    counts = np.bincount(owner, minlength=size).astype(np.float64)
    return np.stack(sums, axis=1), counts[:, None]


def intervals(
    questions: Sequence[Question],
    tables: Sequence[Floats],
    users: NDArray[np.integer],
    *,
    seed: int,
) -> list[list[Interval]]:
    """For each question and column of its table [C, K] the mean and its interval.

    All are of the same draws of users; see :func:`by_user` for ``users``.
    """
    sums, counts = [], []
    for question, table in zip(questions, tables, strict=True):
        each, cases = by_user(question, table, users)
        sums.append(each)
        counts.append(np.broadcast_to(cases, each.shape))
    drawn = drawn_means(np.concatenate(sums, axis=1), np.concatenate(counts, axis=1), seed=seed)
    low, high = np.nanpercentile(drawn, (2.5, 97.5), axis=0)
    means = np.concatenate([table.mean(axis=0) for table in tables])
    rounded = [
        Interval(*(round(float(each), DIGITS) for each in column))
        for column in zip(means, low, high, strict=True)
    ]
    width = tables[0].shape[1]
    return [rounded[start : start + width] for start in range(0, len(rounded), width)]
