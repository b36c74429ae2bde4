"""What the model and a shopper's searches make of a catalogue, and why.

The model reads products, and a search lifts what its words find; a product without a vector counts
as an average one, and only where a search found it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from services.recommendations.domain import reasons
from services.recommendations.domain.answer import Pick, Source
from services.recommendations.domain.ask import Ask
from services.recommendations.domain.candidates import Candidates
from services.recommendations.domain.learned import Learned, Reading
from services.recommendations.domain.ranking import HIDDEN, Ranked
from services.recommendations.domain.reasons import NOTHING_READ, History, Reason
from services.recommendations.domain.search_terms import SearchBonus
from services.shared.item_vectors import Floats
from services.shared.profile import Search

SEARCH_STRENGTH: Final = 0.9
"""What a fresh search that matches fully is worth, as a share of the way from the average
product to the best one: enough to stand beside what the shopper buys week by week, though
never bought before; too little for words alone to outrun a strong habit."""

POPULARITY_WORTH: Final = 0.25
"""What being bought most is worth beside a search bonus of 1."""


REASONS: Final = 3
"""Told of one product, at most."""


class Origin(NamedTuple):
    """What scores are made of, to tell reasons from."""

    ask: Ask
    history: History
    bonus: SearchBonus | None
    by_model: Floats | None
    """[rows] before the bonus; None where the model has read nothing, or nothing was searched."""
    average: float
    """The model's score of an average product."""
    strength: float
    """What a search bonus of 1 added."""


def by_model(reading: Reading, ask: Ask, bonus: SearchBonus | None, source: Source) -> Candidates:
    """Every product by the model's score, plus the search bonus."""
    learned, rows = ask.model.learned, ask.catalog.rows
    average = learned.mean(reading.scores)
    total = spread(reading.scores, learned, rows)
    ask.placed.scores(reading.query, total)
    if bonus is None:
        return _candidates(source, total, Origin(ask, reading.history, None, None, average, 0.0))
    before = total.copy()
    unplaced = total == HIDDEN
    total[unplaced] = average
    highest = float(total.max(where=ask.catalog.available[:rows], initial=average))
    strength = SEARCH_STRENGTH * max(highest - average, 1e-6)
    total += np.float32(strength) * bonus.values
    total[unplaced & (bonus.values == 0)] = HIDDEN
    origin = Origin(ask, reading.history, bonus, before, average, strength)
    return _candidates(source, total, origin)


def spread(scores: Floats, learned: Learned, rows: int) -> Floats:
    """``scores`` [n] of what is learned for all rows of a catalogue; all others are hidden."""
    total = np.empty(rows, dtype=np.float32)
    total[: len(scores)] = scores
    total[len(scores) :] = HIDDEN
    total[learned.gaps] = HIDDEN
    total[:1] = HIDDEN
    return total


def by_searches(ask: Ask, bonus: SearchBonus) -> Candidates:
    """What was searched for, by a shopper of whom the model has read nothing yet.

    The bonus, and at most :data:`POPULARITY_WORTH` for how often a product is bought.
    """
    liked = np.log1p(ask.model.learned.popularity, dtype=np.float32)
    total = bonus.values.copy()
    total[: len(liked)] += POPULARITY_WORTH * liked / max(float(liked.max()), 1.0)
    total[bonus.values == 0] = HIDDEN
    origin = Origin(ask, NOTHING_READ, bonus, None, average=0.0, strength=1.0)
    return _candidates(Source.PERSONAL, total, origin)


def _candidates(source: Source, total: Floats, origin: Origin) -> Candidates:
    def explain(ranked: Sequence[Ranked]) -> list[Pick]:
        return explained(ranked, origin)

    return Candidates(source, total, origin.average, explain, by_model=True)


def explained(chosen: Sequence[Ranked], origin: Origin) -> list[Pick]:
    """Give each product the one event it follows from most, and at most two more.

    A search, if it lifted the product by more than the model did; else an earlier purchase
    of the same product; else the event that counts most. What the model has not read or not
    learned can only follow from a search.
    """
    searches = [_search_behind(each.row, origin) for each in chosen]
    rows = [each.row for each, search in zip(chosen, searches, strict=True) if search is None]
    events = iter(_events(rows, origin))
    earlier = reasons.last_bought(origin.history.interactions)
    picks = []
    for each, search in zip(chosen, searches, strict=True):
        found = [reasons.of_search(search)] if search else next(events)
        product_id = origin.ask.catalog.product_id(each.row)
        at = None if search else earlier.get(product_id)
        if at is not None:
            before = reasons.of_earlier_purchase(product_id, at)
            found = [before, *(one for one in found if one.product_id != product_id)]
        picks.append(Pick(each.row, each.score, found[0], tuple(found[1:REASONS])))
    return picks


def _events(rows: Sequence[int], origin: Origin) -> list[list[Reason]]:
    """For each of the products the events that count most in it, each product of them once."""
    if not rows:
        return []
    at = np.array(rows)
    directions, history = origin.ask.directions(at), origin.history
    strongest = history.strongest(at, directions, REASONS).tolist()
    told: dict[int, Reason] = {}  # products of a list follow from the same few events
    for place in {place for places in strongest for place in places}:
        told[place] = reasons.of_event(history.interactions[place])
    return [_each_once([told[place] for place in places]) for places in strongest]


def _each_once(found: Sequence[Reason]) -> list[Reason]:
    """The first of those about the same product, or the same search."""
    once: dict[tuple[str, str], Reason] = {}
    for each in found:
        once.setdefault((each.product_id, each.query), each)
    return [*once.values()]


def _search_behind(row: int, origin: Origin) -> Search | None:
    if origin.bonus is None:
        return None
    value, search = origin.bonus.of(row)
    if origin.by_model is None or origin.by_model[row] == HIDDEN:
        return search
    added = value * origin.strength
    return search if value > 0 and added > float(origin.by_model[row]) - origin.average else None
