"""Products like others: by the model where it has learned them, else by category."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from services.recommendations.domain import reasons
from services.recommendations.domain.answer import Pick, Source
from services.recommendations.domain.ask import Ask
from services.recommendations.domain.candidates import Candidates
from services.recommendations.domain.catalog import NO_CATEGORY, Catalog
from services.recommendations.domain.learned import Learned
from services.recommendations.domain.personal import spread
from services.recommendations.domain.ranking import HIDDEN, Ranked


def by_cosine(ask: Ask) -> Candidates | None:
    """The products most like the anchors, without themselves; None where no anchor has a vector.

    Of several anchors the score is the cosine with the mean of their directions, and the reason
    the nearest of them.
    """
    anchors = np.array(ask.anchors, dtype=np.intp)
    directions = ask.directions(anchors)
    mean = directions.sum(axis=0)
    length = float(np.linalg.norm(mean))
    if length == 0:
        return None
    mean /= np.float32(length)
    learned, catalog = ask.model.learned, ask.catalog
    cosines = learned.vectors.likeness(mean)
    average = learned.mean(cosines)
    scores = spread(cosines, learned, catalog.rows)
    ask.placed.likeness(mean, scores)
    scores[anchors] = HIDDEN

    def explain(ranked: Sequence[Ranked]) -> list[Pick]:
        shown = ask.directions(np.array([row for row, _ in ranked], dtype=np.intp))
        nearest = anchors[(shown @ directions.T).argmax(axis=1)].tolist()
        return [
            Pick(row, score, reasons.of_likeness(catalog.product_id(anchor)))
            for (row, score), anchor in zip(ranked, nearest, strict=True)
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
    scores[: len(learned.popularity)] += learned.popularity / np.float32(most)
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
