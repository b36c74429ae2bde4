"""Something always comes back: personal, else trending, else popular; the answer says which."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from enum import Enum, auto
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.recommendations.domain import reasons
from services.recommendations.domain.catalog import Catalog
from services.recommendations.domain.ranking import HIDDEN, best, hide
from services.recommendations.domain.reasons import Reason


class Source(Enum):
    """How a list was made, by the names of ``Source`` in the contract."""

    PERSONAL = auto()
    SIMILAR = auto()
    TRENDING = auto()
    POPULAR = auto()
    SESSION = auto()
    BOUGHT_TOGETHER = auto()
    BUY_AGAIN = auto()
    GIVEN = auto()


class Cause(Enum):
    """Why a list is not personal, by the names of ``FallbackCause`` there."""

    UNSPECIFIED = auto()
    UNKNOWN_SHOPPER = auto()
    EMPTY_PROFILE = auto()
    PROFILE_UNAVAILABLE = auto()
    OUT_OF_TIME = auto()
    NOTHING_LEFT = auto()
    NOT_ASKED = auto()


class Pick(NamedTuple):
    """One product of an answer."""

    row: int
    score: float
    reason: Reason


class Answer(NamedTuple):
    """A list and how it was made."""

    picks: Sequence[Pick]
    source: Source
    cause: Cause


def fallback(
    cause: Cause,
    catalog: Catalog,
    trending: Sequence[tuple[str, float]],
    popularity: NDArray[np.int32],
    *,
    excluded: Collection[int],
    limit: int,
) -> Answer:
    """Trending products, filled up with popular ones; popular ones where nothing trends.

    ``trending`` is (product id, score), best first; ``popularity`` is [n], of the first n rows.
    """
    picks = trending_picks(catalog, trending, excluded=excluded, limit=limit)
    source = Source.TRENDING if picks else Source.POPULAR
    return Answer(filled(picks, catalog, popularity, excluded=excluded, limit=limit), source, cause)


def trending_picks(
    catalog: Catalog,
    trending: Sequence[tuple[str, float]],
    *,
    excluded: Collection[int],
    limit: int,
) -> list[Pick]:
    """The first ``limit`` trending products that may be shown."""
    picks: list[Pick] = []
    for product_id, score in trending:
        row = catalog.row(product_id)
        if row is not None and catalog.available[row] and row not in excluded:
            picks.append(Pick(row, score, reasons.TRENDING))
            if len(picks) == limit:
                break
    return picks


def popular_picks(
    catalog: Catalog, popularity: NDArray[np.int32], *, excluded: Collection[int], limit: int
) -> list[Pick]:
    """The most bought products; what was never bought comes last, by product id."""
    scores = np.zeros(catalog.rows, dtype=np.float32)
    scores[: len(popularity)] = popularity
    hide(scores, available=catalog.available[: catalog.rows], excluded=excluded)
    return [
        Pick(row, score, reasons.POPULAR if score > 0 else reasons.LISTED)
        for row, score in best(scores, limit, catalog.product_id)
    ]


def filled(
    picks: list[Pick],
    catalog: Catalog,
    popularity: NDArray[np.int32],
    *,
    excluded: Collection[int],
    limit: int,
) -> list[Pick]:
    """``picks``, and popular products behind them until there are ``limit``.

    A filler's score is brought below the last pick's, as scores never rise down a list.
    """
    missing = limit - len(picks)
    if missing <= 0:
        return picks
    shown = {*excluded, *(pick.row for pick in picks)}
    more = popular_picks(catalog, popularity, excluded=shown, limit=missing)
    lowest = picks[-1].score if picks else float(-HIDDEN)
    return [*picks, *(pick._replace(score=min(pick.score, lowest)) for pick in more)]
