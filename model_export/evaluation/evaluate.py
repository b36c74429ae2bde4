"""Evaluates a bundle beside its baselines on held-out baskets. Needs no torch.

Each held-out basket is foretold from all that its user did before; the whole catalogue is
ranked. Two questions: which products will be in it, and which of them for the first time
(then what the user had bought is left out of every ranking).

:func:`evaluate` is for programs; ``python -m model_export evaluate`` prints its table.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import msgspec
import numpy as np

from model_export.dataset import HELD_OUT, VALIDATION, Prepared
from model_export.errors import DataRefused
from model_export.evaluation.baselines import Frequency, ItemKNN, Popularity, Ranker
from model_export.evaluation.cases import Case, Ranking, cases_of
from model_export.evaluation.metrics import Interval, hit_rate, interval, ndcg
from model_export.evaluation.model_ranker import ModelRanker
from services.shared.bundle import Bundle

POPULARITY_DAYS: Final = (7, 14, 28, 56, None)
SEED: Final = 1
DIGITS: Final = 6

Progress = Callable[[str], None]
"""Told the name of each step as it starts."""


class Row(msgspec.Struct, frozen=True):
    """How one method did on one question."""

    method: str
    """model, popularity, item-kNN or household's own."""
    purchases: str
    """all, or new (to the user)."""
    hit_rate: Interval
    """Share of baskets of which one of the ten products shown was bought."""
    ndcg: Interval


class Evaluation(msgspec.Struct, frozen=True):
    """The figures, and what they are about."""

    data: str
    split: str
    cases: int
    """Baskets foretold."""
    cases_new: int
    """Those of them with a product new to the user."""
    users: int
    catalogue_size: int
    popularity_days: int | None
    """The window of the best popularity on the validation part; none means all time."""
    rows: list[Row]


def evaluate(
    data: Prepared, bundle: Bundle | None = None, *, progress: Progress = lambda _: None
) -> Evaluation:
    """Rank the held-out baskets with the bundle, if there is one, and with the baselines.

    Raises DataRefused where nothing is held out that has something before it, or where the
    bundle knows none of the data's products.
    """
    progress("held-out baskets")
    cases = cases_of(data, HELD_OUT)
    if not cases:
        raise DataRefused(f"{data.source.name}: no held-out purchase has anything before it")
    days = best_window(data)
    popularity = Popularity(data, before=HELD_OUT, days=days)
    progress("item-kNN: similarities")
    methods: dict[str, Ranker] = {
        "popularity": popularity,
        "item-kNN": ItemKNN(data, popularity, before=HELD_OUT),
        "household's own": Frequency(data, popularity),
    }
    if bundle is not None:
        methods = {"model": ModelRanker(data, bundle), **methods}
    rows: list[Row] = []
    for name, ranker in methods.items():
        progress(f"{name}: rankings")
        rows.extend(_rows(name, cases, list(ranker.rank(cases))))
    return Evaluation(
        data=data.source.name,
        split=data.source.split,
        cases=len(cases),
        cases_new=sum(1 for case in cases if len(case.new)),
        users=len({case.user for case in cases}),
        catalogue_size=data.source.catalogue_size,
        popularity_days=days,
        rows=rows,
    )


def best_window(data: Prepared) -> int | None:
    """The number of days whose popularity foretells the validation part best (NDCG).

    None, all time, where the split is by position and days mean nothing.
    """
    if not data.source.held_out_from:
        return None
    cases = cases_of(data, VALIDATION)

    def quality(days: int | None) -> float:
        ranked = Popularity(data, before=VALIDATION, days=days).order
        return float(np.mean([ndcg(ranked, case.relevant) for case in cases]))

    return max(POPULARITY_DAYS, key=quality) if cases else None


def _rows(method: str, cases: Sequence[Case], rankings: Sequence[Ranking]) -> list[Row]:
    every = [
        (case.user, hit_rate(ranking.every, case.relevant), ndcg(ranking.every, case.relevant))
        for case, ranking in zip(cases, rankings, strict=True)
    ]
    new = [
        (case.user, hit_rate(ranking.new, case.new), ndcg(ranking.new, case.new))
        for case, ranking in zip(cases, rankings, strict=True)
        if len(case.new)
    ]
    return [_row(method, "all", every), *([_row(method, "new", new)] if new else [])]


def _row(method: str, purchases: str, figures: list[tuple[int, float, float]]) -> Row:
    users, hits, gains = (np.array(column) for column in zip(*figures, strict=True))
    return Row(method, purchases, _interval(hits, users), _interval(gains, users))


def _interval(values: np.ndarray, users: np.ndarray) -> Interval:
    return Interval(*(round(each, DIGITS) for each in interval(values, users, seed=SEED)))
