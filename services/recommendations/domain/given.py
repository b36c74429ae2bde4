"""Products that somebody else has chosen, such as a search, in the order that suits a shopper."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from services.recommendations.domain.answer import Answer, Cause, Pick, Source
from services.recommendations.domain.ask import Ask
from services.recommendations.domain.candidates import Candidates, span_of
from services.recommendations.domain.ranking import Ranked
from services.recommendations.domain.sources import asked
from services.shared.item_vectors import Floats

MODELS: Final = frozenset({"personal", "session", "similar"})
"""The sources that order any products; the others know a few, and would leave the rest."""
UNSAID: Final = Pick(0, 0.0, None)


def ranked(ask: Ask, rows: Sequence[int]) -> Answer:
    """``rows``, the most relevant first, of those that may be shown.

    The score is a sum of two parts, each from 0 to 1 among the given: the place in the request,
    and the model's score; the scenario's ``personal_weight`` is the model's share. Where the
    model knows nothing of the shopper, or has no share, the order stays; boosts and the exposure
    rule act in either case. What the model lifts has reasons.
    """
    may = [row for row in rows if ask.rules.allowed[row] and row not in ask.excluded]
    if not may:
        return Answer((), Source.GIVEN, Cause.NOTHING_LEFT, by_model=False)
    kept = np.array(may, dtype=np.intp)
    scores = np.linspace(1, 0, len(kept), dtype=np.float32)
    found, cause = _by_model(ask)
    source = Source.GIVEN
    reasons: dict[int, Pick] = {}
    if found is not None:
        weight, told = np.float32(ask.scenario.personal_weight), _scaled(found.scores[kept])
        scores, source = (1 - weight) * scores + weight * told, found.source
        reasons = _reasons(found, kept[told > told.mean()])
    _lift(scores, kept, ask)
    order = np.argsort(-scores, kind="stable")
    pool: Sequence[Ranked] = list(map(Ranked, kept[order].tolist(), scores[order].tolist()))
    if ask.rules.exposure:
        pool = ask.rules.exposure(pool, span_of(scores, float(scores.mean())))
    picks = [reasons.get(row, UNSAID)._replace(row=row, score=score) for row, score in pool]
    return Answer(picks, source, cause, by_model=found is not None)


def _lift(scores: Floats, kept: NDArray[np.intp], ask: Ask) -> None:
    """Apply the boosts, in place: parts of the way from the average of the given to the best."""
    if ask.rules.lifts:
        span = span_of(scores, float(scores.mean()))
        for mask, by in ask.rules.lifts:
            scores[mask[kept]] += np.float32(by * span)


def _by_model(ask: Ask) -> tuple[Candidates | None, Cause]:
    """The first of the scenario's sources that the model orders, or why there is none."""
    cause = Cause.UNSPECIFIED
    names = ask.scenario.sources if ask.scenario.personal_weight else ()
    for name in (each for each in names if each in MODELS):
        found = asked(ask, name)
        if isinstance(found, Candidates) and found.by_model:
            return found, cause
        if cause is Cause.UNSPECIFIED:
            cause = found if isinstance(found, Cause) else Cause.NOT_LEARNED
    return None, Cause.NOT_ASKED if cause is Cause.UNSPECIFIED else cause


def _scaled(scores: Floats) -> Floats:
    """From 0 for the least to 1 for the greatest; 0 for what the model has not learned."""
    known = np.isfinite(scores)
    if not known.any():
        return np.zeros_like(scores)
    least, most = scores[known].min(), scores[known].max()
    scaled: Floats = (np.where(known, scores, least) - least) / np.float32(max(most - least, 1e-6))
    return scaled


def _reasons(found: Candidates, rows: NDArray[np.intp]) -> dict[int, Pick]:
    """What products follow from that the model lifts above the average of the given."""
    return {pick.row: pick for pick in found.explain([Ranked(row, 0.0) for row in rows.tolist()])}
