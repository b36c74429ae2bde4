"""A list: source after source until it is full, then what the shop has pinned.

Something always comes back: each scenario names what the list is meant to be, and what comes
instead; the answer says which it was, and why.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from services.recommendations.domain import reasons
from services.recommendations.domain.answer import Answer, Cause, Pick, Source
from services.recommendations.domain.ask import Ask
from services.recommendations.domain.candidates import Candidates, chosen
from services.recommendations.domain.rules import unwanted
from services.recommendations.domain.sources import asked

NOTHING: Final = Answer((), Source.POPULAR, Cause.NOTHING_LEFT, by_model=False)


def made(ask: Ask) -> Answer:
    """The list that ``ask`` is about, of at most its limit, without what the shopper refused.

    Pins that may not be shown are passed over. The answer's source is that of its first products,
    pins apart; its cause says why those are not what the list is meant to be, and is unspecified
    where they are.
    """
    ask = replace(ask, excluded=ask.excluded | unwanted(ask.profile, ask.catalog))
    pinned = _pinned(ask)
    taken = {row for _, row in pinned}
    answer = _from_sources(ask, taken, ask.limit - len(pinned))
    return answer._replace(picks=_with_pins(answer.picks, pinned))


def _pinned(ask: Ask) -> list[tuple[int, int]]:
    """(place, row) by place: of each the first pin that may be shown, each product once."""
    found: dict[int, int] = {}
    for place, row in ask.pins:
        free = place not in found and row not in found.values()
        if free and place <= ask.limit and _may(ask, row):
            found[place] = row
    return sorted(found.items())


def _from_sources(ask: Ask, taken: set[int], limit: int) -> Answer:
    if not limit:
        return NOTHING._replace(cause=Cause.NOT_ASKED)
    answer, first_cause = NOTHING, Cause.UNSPECIFIED
    picks: list[Pick] = []
    for name in ask.scenario.sources:
        missing = limit - len(picks)
        if not missing:
            break
        found = asked(ask, name)
        if isinstance(found, Cause):
            first_cause = found if first_cause is Cause.UNSPECIFIED else first_cause
            continue
        more = _picked(ask, found, taken, missing)
        if more and not picks:
            answer = Answer((), found.source, first_cause, found.by_model)
        elif first_cause is Cause.UNSPECIFIED:
            first_cause = Cause.NOTHING_LEFT
        picks += _below(picks, more)
        taken |= {pick.row for pick in more}
    if not picks:
        return NOTHING._replace(cause=first_cause)
    return answer._replace(picks=picks)


def _picked(ask: Ask, found: Candidates, taken: set[int], limit: int) -> list[Pick]:
    ranked = chosen(
        found,
        ask.rules,
        ask.catalog,
        ask.directions,
        excluded=ask.excluded | taken,
        above=taken,
        limit=limit,
    )
    return found.explain(ranked)


def _below(picks: Sequence[Pick], more: Sequence[Pick]) -> list[Pick]:
    """``more``, brought below the last of ``picks``: scores never rise down a list."""
    if not picks:
        return list(more)
    lowest = picks[-1].score
    return [pick._replace(score=min(pick.score, lowest)) for pick in more]


def _may(ask: Ask, row: int) -> bool:
    return bool(ask.rules.allowed[row]) and row not in ask.excluded


def _with_pins(picks: Sequence[Pick], pins: Sequence[tuple[int, int]]) -> list[Pick]:
    """Each pinned product at its place, or behind all where the list is shorter.

    It takes the score of the product that it is put before, so that scores never rise.
    """
    found = list(picks)
    for place, row in pins:
        at = min(place - 1, len(found))
        score = found[at].score if at < len(found) else (found[-1].score if found else 0.0)
        found.insert(at, Pick(row, score, reasons.PINNED))
    return found
