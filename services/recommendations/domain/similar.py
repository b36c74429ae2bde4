"""Products like others: by the model where it has learned them, else by category."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from services.recommendations.domain import reasons
from services.recommendations.domain.answer import Pick, Source
from services.recommendations.domain.candidates import Candidates
from services.recommendations.domain.catalog import NO_CATEGORY, Catalog
from services.recommendations.domain.learned import Learned
from services.recommendations.domain.ranking import HIDDEN, Ranked


def by_cosine(anchors: Sequence[int], learned: Learned, catalog: Catalog) -> Candidates:
    """The products most like the anchors, rows that the model has learned; without themselves.

    Of several anchors, the score is the mean cosine, and the reason the nearest of them.
    """
    vectors = learned.vectors
    directions = vectors.directions(np.array(anchors))
    mean = directions.mean(axis=0)
    scores = np.full(catalog.rows, HIDDEN, dtype=np.float32)
    if len(anchors) == 1:
        scores[: catalog.vector_rows] = vectors.cosines(anchors[0])
    else:
        every = np.arange(vectors.size)
        scores[: catalog.vector_rows] = vectors.directions(every) @ mean
    average = float(scores[1 : catalog.vector_rows].mean())
    scores[list(anchors)] = HIDDEN

    def explain(ranked: Sequence[Ranked]) -> list[Pick]:
        shown = vectors.directions(np.array([row for row, _ in ranked], dtype=np.intp))
        nearest = (shown @ directions.T).argmax(axis=1).tolist()
        return [
            Pick(row, score, reasons.of_likeness(catalog.product_id(anchors[place])))
            for (row, score), place in zip(ranked, nearest, strict=True)
        ]

    return Candidates(Source.SIMILAR, scores, average, explain, by_model=True)


def by_category(anchor: int, learned: Learned, catalog: Catalog) -> Candidates:
    """How many levels of the category path are shared, then how often a product is bought.

    A product that shares none is hidden, unless the anchor has no category at all.
    """
    path = catalog.category_paths[catalog.categories[anchor]]
    levels = np.array([_shared(path, other) for other in catalog.category_paths], np.float32)
    shared = levels[catalog.categories[: catalog.rows]]
    scores = shared.copy()
    most = float(learned.popularity.max(initial=0)) + 1.0
    scores[: catalog.vector_rows] += learned.popularity / np.float32(most)
    if catalog.categories[anchor] != NO_CATEGORY:
        scores[shared == 0] = HIDDEN
    scores[anchor] = HIDDEN
    reason = reasons.of_likeness(catalog.product_id(anchor))

    def explain(ranked: Sequence[Ranked]) -> list[Pick]:
        return [
            Pick(row, score, reason if shared[row] else reasons.POPULAR) for row, score in ranked
        ]

    return Candidates(Source.POPULAR, scores, 0.0, explain)


def _shared(path: tuple[str, ...], other: tuple[str, ...]) -> int:
    """How many levels two paths share, from the widest on."""
    count = 0
    for one, two in zip(path, other, strict=False):
        if one != two:
            break
        count += 1
    return count
