"""Evaluates a bundle beside its baselines on held-out baskets. Needs no torch.

Each held-out basket is foretold from all that its user did before; the whole catalogue is
ranked. Two questions: which products will be in it, and which of them for the first time
(then what the user had bought is left out of every ranking). The first is also asked of
segments: of new and known shoppers, head and tail products, demographic groups.

:func:`evaluate` is for programs; ``python -m model_export evaluate`` prints its table.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from model_export.dataset import HELD_OUT, VALIDATION, Prepared
from model_export.errors import DataRefused
from model_export.evaluation.baselines import Frequency, ItemKNN, Popularity, Ranker
from model_export.evaluation.cases import Case, Ranking, cases_of
from model_export.evaluation.figures import FIGURES, figures, intervals
from model_export.evaluation.metrics import Interval, ndcg
from model_export.evaluation.model_ranker import ModelRanker
from model_export.evaluation.segments import LARGE, Question, segments, whole
from services.shared.bundle import Bundle

POPULARITY_DAYS: Final = (7, 14, 28, 56, None)
SEED: Final = 1

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
    recall: Interval
    """Share of a basket's products that are among the ten shown."""
    ndcg: Interval


class Segment(msgspec.Struct, frozen=True):
    """How the methods did on one of :mod:`model_export.evaluation.segments`."""

    name: str
    cases: int
    users: int
    rows: list[Row]


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
    segments: list[Segment]
    too_small: list[str]
    """Segments of so few users that figures would say nothing."""


def evaluate(
    data: Prepared,
    bundle: Bundle | None = None,
    *,
    large: int = LARGE,
    progress: Progress = lambda _: None,
) -> Evaluation:
    """Rank the held-out baskets with the bundle, if there is one, and with the baselines.

    Segments of fewer than ``large`` users have no figures. Raises DataRefused where nothing
    is held out that has something before it, or where the bundle knows none of the data's
    products.
    """
    progress("held-out baskets")
    cases = held_out(data)
    days = best_window(data)
    questions = whole(cases)
    parts, too_small = segments(data, cases, large=large)
    rows: list[list[Row]] = []
    for name, ranker in _methods(data, bundle, days, progress).items():
        progress(f"{name}: rankings")
        rows.append(rows_of(name, [*questions, *parts], cases, list(ranker.rank(cases))))
    by_question = [list(each) for each in zip(*rows, strict=True)]
    return Evaluation(
        data=data.source.name,
        split=data.source.split,
        cases=len(cases),
        cases_new=sum(1 for case in cases if len(case.new)),
        users=len({case.user for case in cases}),
        catalogue_size=data.source.catalogue_size,
        popularity_days=days,
        rows=[row for method in rows for row in method[: len(questions)]],
        segments=[
            Segment(part.name, len(part.places), part.users, found)
            for part, found in zip(parts, by_question[len(questions) :], strict=True)
        ],
        too_small=too_small,
    )


def held_out(data: Prepared) -> list[Case]:
    """The held-out baskets that can be foretold. Raises DataRefused where there is none."""
    cases = cases_of(data, HELD_OUT)
    if not cases:
        raise DataRefused(f"{data.source.name}: no held-out purchase has anything before it")
    return cases


def owners(cases: Sequence[Case]) -> NDArray[np.int64]:
    """Whose each case is, as numbers from 0 without gaps, in the order of the users."""
    users = np.array([case.user for case in cases])
    found: NDArray[np.int64] = np.unique(users, return_inverse=True)[1]
    return found


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


def _methods(
    data: Prepared, bundle: Bundle | None, days: int | None, progress: Progress
) -> dict[str, Ranker]:
    popularity = Popularity(data, before=HELD_OUT, days=days)
    progress("item-kNN: similarities")
    baselines: dict[str, Ranker] = {
        "popularity": popularity,
        "item-kNN": ItemKNN(data, popularity, before=HELD_OUT),
        "household's own": Frequency(data, popularity),
    }
    return baselines if bundle is None else {"model": ModelRanker(data, bundle), **baselines}


def rows_of(
    method: str, questions: Sequence[Question], cases: Sequence[Case], rankings: Sequence[Ranking]
) -> list[Row]:
    """How well rankings of all cases answer each question, with intervals."""
    tables = [figures(question, rankings) for question in questions]
    found = intervals(questions, tables, owners(cases), seed=SEED)
    return [
        Row(method, "new" if question.is_new else "all", **dict(zip(FIGURES, each, strict=True)))
        for question, each in zip(questions, found, strict=True)
    ]
