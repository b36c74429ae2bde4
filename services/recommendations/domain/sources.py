"""Where the products of a list come from; each source by the name that scenarios call it.

A source answers :class:`Candidates`, or says why it has none: the cause that the answer then
tells, if the source was the one that the list is meant to be.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np

from services.recommendations.domain import reasons
from services.recommendations.domain.answer import Cause, Pick, Source
from services.recommendations.domain.ask import Ask
from services.recommendations.domain.buying_again import bought_again
from services.recommendations.domain.candidates import Candidates
from services.recommendations.domain.personal import by_model, by_searches
from services.recommendations.domain.ranking import HIDDEN, Ranked
from services.recommendations.domain.reasons import Reason
from services.recommendations.domain.search_terms import search_bonus
from services.recommendations.domain.similar import by_category, by_cosine
from services.shared.profile import bought

Found = Candidates | Cause


def personal(ask: Ask) -> Found:
    """By the model and the shopper's searches."""
    did, catalog = ask.did(), ask.catalog
    reading = ask.reading(did)
    bonus = search_bonus(
        ask.profile.searches,
        catalog.index,
        rows=catalog.rows,
        listed=catalog.listed,
        now=ask.now,
    )
    if reading is not None:
        return by_model(reading, ask, bonus, Source.PERSONAL)
    if bonus is not None:
        return by_searches(ask, bonus)
    return ask.cause


def session(ask: Ask) -> Found:
    """By the model, from what the caller says of the visit."""
    reading = ask.reading(ask.visit())
    if reading is None:
        return Cause.NOT_ASKED
    return by_model(reading, ask, None, Source.SESSION)


def similar(ask: Ask) -> Found:
    """Like the anchors, by the model where it has learned them, else by category."""
    if not ask.anchors:
        return Cause.NOT_ASKED
    return by_cosine(ask) or by_category(ask.anchors[0], ask.model.learned, ask.catalog)


def bought_together(ask: Ask) -> Found:
    """What those who bought the anchors bought, too; the reason is the anchor it goes with most."""
    near = ask.model.learned.neighbours
    anchors = np.array([row for row in ask.anchors if ask.model.learned.has(row)], np.intp)
    if near is None or not len(anchors):
        return Cause.NOT_LEARNED if ask.anchors else Cause.NOT_ASKED
    items, weights = near.scores(anchors, np.ones(len(anchors), np.float32))
    owners = np.repeat(anchors, near.starts[anchors + 1] - near.starts[anchors])
    order = np.lexsort((-weights, items))
    rows, first, place = np.unique(items[order], return_index=True, return_inverse=True)
    scores = np.bincount(place, weights=weights[order]).astype(np.float32)
    scores[np.isin(rows, anchors)] = HIDDEN
    strongest = dict(zip(rows.tolist(), owners[order][first].tolist(), strict=True))

    def why(row: int) -> Reason:
        return reasons.of_company(ask.catalog.product_id(strongest[row]))

    return _few(Source.BOUGHT_TOGETHER, rows.astype(np.intp), scores, why)


def buy_again(ask: Ask) -> Found:
    """What the shopper bought before, as buying again is worth now by the bundle's table."""
    lines, learned = bought(ask.profile), ask.model.learned
    table = learned.repeat
    if lines and table is None:
        return Cause.NOT_LEARNED
    again = None if table is None else bought_again(lines, table, learned, ask.catalog, ask.now)
    if again is None:
        return ask.cause
    return _few(Source.BUY_AGAIN, again.rows, again.scores, again.reason)


def trending(ask: Ask) -> Found:
    """What many shoppers do just now."""
    return _trending(ask, ())


def trending_in_category(ask: Ask) -> Found:
    """The same, within the page's category, or that of the first anchor."""
    page = ask.page
    if not page and ask.anchors:
        page = ask.catalog.products.paths[ask.anchors[0]]
    return _trending(ask, page) if page else Cause.NOT_ASKED


def _trending(ask: Ask, within: Sequence[str]) -> Found:
    catalog, told = ask.catalog, tuple(within)
    found = [(catalog.row(product_id), score) for product_id, score in ask.trending]
    kept = [
        (row, score)
        for row, score in found
        if row is not None and catalog.products.paths[row][: len(told)] == told
    ]
    if not kept:
        return Cause.NOTHING_LEFT
    rows, scores = zip(*kept, strict=True)
    return _few(
        Source.TRENDING,
        np.array(rows, np.intp),
        np.array(scores, np.float32),
        lambda _: reasons.TRENDING,
    )


def popular(ask: Ask) -> Found:
    """The most bought products; what was never bought comes last, by product id."""
    counts = ask.model.learned.popularity
    scores = np.zeros(ask.catalog.rows, dtype=np.float32)
    scores[: len(counts)] = counts
    average = float(scores.mean())

    def explain(ranked: Sequence[Ranked]) -> list[Pick]:
        return [
            Pick(row, score, reasons.POPULAR if was_bought(row) else reasons.LISTED)
            for row, score in ranked
        ]

    def was_bought(row: int) -> bool:
        return row < len(counts) and bool(counts[row])

    return Candidates(Source.POPULAR, scores, average, explain)


def _few(
    source: Source, rows: np.ndarray, scores: np.ndarray, why: Callable[[int], Reason]
) -> Candidates:
    shown = scores[scores > HIDDEN]
    average = float(shown.mean()) if len(shown) else 0.0

    def explain(ranked: Sequence[Ranked]) -> list[Pick]:
        return [Pick(row, score, why(row)) for row, score in ranked]

    return Candidates(source, scores, average, explain, rows)


SOURCES: Final[Mapping[str, Callable[[Ask], Found]]] = {
    "personal": personal,
    "session": session,
    "similar": similar,
    "bought-together": bought_together,
    "buy-again": buy_again,
    "trending-in-category": trending_in_category,
    "trending": trending,
    "popular": popular,
}
"""By the names of :data:`services.recommendations.domain.scenario.SourceName`."""

CHEAP: Final = frozenset({"trending-in-category", "trending", "popular"})
"""Asked however little time is left: something always comes back."""


def asked(ask: Ask, name: str) -> Found:
    """What the source of that name has; OUT_OF_TIME where it would come too late."""
    if name in CHEAP:
        return SOURCES[name](ask)
    return ask.budget.spend(name, lambda: SOURCES[name](ask)) or Cause.OUT_OF_TIME
