"""A personal list: the model's scores, lifted by searches, masked, varied, explained."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.recommendations.domain import reasons
from services.recommendations.domain.catalog import Catalog
from services.recommendations.domain.fallback import Pick
from services.recommendations.domain.learned import Learned
from services.recommendations.domain.ranking import HIDDEN, Ranked, best, hide
from services.recommendations.domain.reasons import History
from services.recommendations.domain.rerank import POOL, Caps, Kinds, diverse
from services.recommendations.domain.search_terms import SearchBonus
from services.shared.profile import Search

SEARCH_STRENGTH: Final = 0.9
"""What a fresh search that matches fully is worth, as a share of the way from the average
product to the best one: enough to stand beside what the shopper buys week by week, though
never bought before; too little for words alone to outrun a strong habit."""

POPULARITY_WORTH: Final = 0.25
"""What being bought most is worth beside a search bonus of 1."""

DIVERSITY: Final = 0.2
"""How far a list turns from score to variety, from 0 to 1. On the Complete Journey's validation
week a step of .05 more would lose more than 1 % of NDCG@10."""

CAPS: Final = Caps(category=0.4)
"""How much of a list one kind of product may have."""


class Scores(NamedTuple):
    """The scores of all rows, and what they are made of."""

    total: NDArray[np.float32]
    """[rows]; hidden ones are minus infinity."""
    average: float
    """The model's score of an average product."""
    strength: float
    """What a search bonus of 1 added."""


def personal_scores(
    by_model: NDArray[np.float32],
    catalog: Catalog,
    bonus: SearchBonus | None,
    excluded: Collection[int],
) -> Scores:
    """Score every product: the model's score [vector rows], plus the search bonus.

    A product without a vector counts as an average one, and only where a search found it.
    """
    known, rows = catalog.vector_rows, catalog.rows
    average = float(by_model[1:].mean())
    total = np.full(rows, average, dtype=np.float32)
    total[:known] = by_model
    available = catalog.available[:rows]
    strength = 0.0
    if bonus is not None:
        highest = float(total.max(where=available, initial=average))
        strength = SEARCH_STRENGTH * max(highest - average, 1e-6)
        total += strength * bonus.values
    hide(total, available=available, excluded=excluded)
    total[known:][bonus.values[known:] == 0 if bonus else ...] = HIDDEN
    return Scores(total, average, strength)


def searched_scores(
    learned: Learned, catalog: Catalog, bonus: SearchBonus, excluded: Collection[int]
) -> Scores:
    """Score what was searched for, by a shopper of whom the model has read nothing yet.

    The bonus, and at most :data:`POPULARITY_WORTH` for how often a product is bought.
    """
    rows = catalog.rows
    liked = np.log1p(learned.popularity, dtype=np.float32)
    total = bonus.values.copy()
    total[: catalog.vector_rows] += POPULARITY_WORTH * liked / max(float(liked.max()), 1.0)
    hide(total, available=catalog.available[:rows], excluded=excluded)
    total[bonus.values == 0] = HIDDEN
    return Scores(total, average=0.0, strength=1.0)


def personal_picks(
    scores: Scores,
    learned: Learned,
    catalog: Catalog,
    history: History,
    bonus: SearchBonus | None,
    *,
    limit: int,
) -> list[Pick]:
    """The list itself: best rows, varied, each with its reason."""
    pool = best(scores.total, limit * POOL, catalog.product_id)
    chosen = varied(pool, learned, catalog, limit=limit)
    return explained(chosen, scores, learned, catalog, history, bonus)


def varied(
    pool: Sequence[Ranked], learned: Learned, catalog: Catalog, *, limit: int
) -> list[Ranked]:
    """Choose ``limit`` of a ranked pool, by :data:`DIVERSITY` and :data:`CAPS`.

    Rows behind the vectors have none; so has row 0, padding, which is looked up for them.
    """
    rows = np.array([row for row, _ in pool], dtype=np.intp)
    directions = learned.vectors.directions(np.where(rows < catalog.vector_rows, rows, 0))
    kinds = Kinds(category=catalog.categories[rows])
    return diverse(pool, directions, kinds, limit=limit, strength=DIVERSITY, caps=CAPS)


def explained(
    chosen: Sequence[Ranked],
    scores: Scores,
    learned: Learned,
    catalog: Catalog,
    history: History,
    bonus: SearchBonus | None,
) -> list[Pick]:
    """Give each product the one event it follows from most.

    A search, if it lifted the product by more than the model did; else an earlier purchase
    of the same product; else the event with the most similar product. What the model has
    not read or not learned can only follow from a search.
    """
    searches = [_search_behind(each.row, scores, catalog, history, bonus) for each in chosen]
    rows = [each.row for each, search in zip(chosen, searches, strict=True) if search is None]
    alike = history.nearest(learned.vectors.directions(np.array(rows))).tolist() if rows else ()
    events = iter(alike)
    earlier = reasons.last_bought(history.interactions)
    picks = []
    for each, search in zip(chosen, searches, strict=True):
        product_id = catalog.product_id(each.row)
        if search is not None:
            reason = reasons.of_search(search)
        else:
            event = history.interactions[next(events)]
            at = earlier.get(product_id)
            reason = (
                reasons.of_event(event, product_id, catalog.title_or_id)
                if at is None
                else reasons.of_earlier_purchase(product_id, at)
            )
        picks.append(Pick(each.row, each.score, reason))
    return picks


def _search_behind(
    row: int, scores: Scores, catalog: Catalog, history: History, bonus: SearchBonus | None
) -> Search | None:
    if bonus is None:
        return None
    value, search = bonus.of(row)
    if not history.interactions or row >= catalog.vector_rows:
        return search
    added = value * scores.strength
    by_model = float(scores.total[row]) - added - scores.average
    return search if value > 0 and added > by_model else None
