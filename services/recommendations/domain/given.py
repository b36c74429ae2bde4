"""Products that somebody else has chosen, such as a search, in the order that suits a shopper."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from services.recommendations.domain.answer import Answer, Cause, Pick, Source
from services.recommendations.domain.ask import Ask
from services.recommendations.domain.candidates import Candidates
from services.recommendations.domain.ranking import Ranked
from services.recommendations.domain.sources import asked
from services.shared.item_vectors import Floats


def ranked(ask: Ask, rows: Sequence[int]) -> Answer:
    """``rows``, the most relevant first, of those that may be shown.

    The score is a sum of two parts, each from 0 to 1 among the given: the place in the request,
    and the model's score; the scenario's ``personal_weight`` is the model's share. Where the
    model knows nothing of the shopper the order stays; boosts act in either case.
    """
    kept = np.array([row for row in rows if ask.rules.allowed[row]], dtype=np.intp)
    relevance = np.linspace(1, 0, len(kept), dtype=np.float32)
    by_model, cause = _by_model(ask)
    reasons: dict[int, Pick] = {}
    if by_model is None or not len(kept):
        scores, source = relevance, Source.GIVEN
    else:
        weight = np.float32(ask.scenario.personal_weight)
        scores = (1 - weight) * relevance + weight * _scaled(by_model.scores[kept])
        source = by_model.source
        shown = [Ranked(int(row), 0.0) for row in kept if np.isfinite(by_model.scores[row])]
        reasons = {pick.row: pick for pick in by_model.explain(shown)}
    for mask, by in ask.rules.lifts:
        scores[mask[kept]] += np.float32(by)
    order = np.argsort(-scores, kind="stable")
    nothing = Pick(0, 0.0, None)
    picks = [
        reasons.get(row, nothing)._replace(row=row, score=score)
        for row, score in zip(kept[order].tolist(), scores[order].tolist(), strict=True)
    ]
    return Answer(picks, source, cause, by_model=source is not Source.GIVEN)


def _by_model(ask: Ask) -> tuple[Candidates | None, Cause]:
    """The first of the scenario's sources that the model orders, or why there is none."""
    cause = Cause.UNSPECIFIED
    for name in ask.scenario.sources:
        found = asked(ask, name)
        if isinstance(found, Candidates) and found.by_model:
            return found, cause
        if cause is Cause.UNSPECIFIED:
            cause = found if isinstance(found, Cause) else Cause.NOT_ASKED
    return None, cause


def _scaled(scores: Floats) -> Floats:
    """From 0 for the least to 1 for the greatest; 0 for what the model has not learned."""
    known = np.isfinite(scores)
    if not known.any():
        return np.zeros_like(scores)
    least, most = scores[known].min(), scores[known].max()
    scaled: Floats = (np.where(known, scores, least) - least) / np.float32(max(most - least, 1e-6))
    return scaled
