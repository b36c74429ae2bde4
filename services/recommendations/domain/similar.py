"""Products like one product: by the model where it has learned it, else by category."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from services.recommendations.domain import reasons
from services.recommendations.domain.catalog import NO_CATEGORY, Catalog
from services.recommendations.domain.fallback import Answer, Cause, Pick, Source
from services.recommendations.domain.learned import Learned
from services.recommendations.domain.ranking import HIDDEN, best, hide

_SOURCES: Final = {True: Source.SIMILAR, False: Source.POPULAR}


def similar(row: int, learned: Learned, catalog: Catalog, *, limit: int) -> Answer:
    """The products most like the one at ``row``, which is listed; without itself."""
    known = learned.has(row)
    scores = _by_cosine(row, learned, catalog) if known else _by_category(row, learned, catalog)
    hide(scores, available=catalog.available[: catalog.rows], excluded=(row,))
    reason = reasons.of_likeness(catalog.product_id(row), catalog.listing(row).title)
    picks = [
        Pick(each.row, each.score, reason if known or each.score >= 1 else reasons.POPULAR)
        for each in best(scores, limit, catalog.product_id)
    ]
    return Answer(picks, _SOURCES[known], Cause.UNSPECIFIED)


def _by_cosine(row: int, learned: Learned, catalog: Catalog) -> NDArray[np.float32]:
    scores = np.full(catalog.rows, HIDDEN, dtype=np.float32)
    scores[: learned.vectors.size] = learned.vectors.cosines(row)
    scores[learned.gaps] = HIDDEN
    return scores


def _by_category(row: int, learned: Learned, catalog: Catalog) -> NDArray[np.float32]:
    """How many levels of the category path are shared, then how often a product is bought.

    A product that shares none is hidden, unless the given one has no category at all.
    """
    path = catalog.category_paths[catalog.categories[row]]
    levels = np.array([_shared(path, other) for other in catalog.category_paths], np.float32)
    shared = levels[catalog.categories[: catalog.rows]]
    scores = shared.copy()
    most = float(learned.popularity.max(initial=0)) + 1.0
    scores[: len(learned.popularity)] += learned.popularity / np.float32(most)
    if catalog.categories[row] != NO_CATEGORY:
        scores[shared == 0] = HIDDEN
    return scores


def _shared(path: tuple[str, ...], other: tuple[str, ...]) -> int:
    """How many levels two paths share, from the widest on."""
    count = 0
    for one, two in zip(path, other, strict=False):
        if one != two:
            break
        count += 1
    return count
