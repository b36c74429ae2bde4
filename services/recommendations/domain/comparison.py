"""How a bundle in the shadow would have answered, beside what was answered.

Only lists that both made personal are compared product by product; how often only one of them did
is counted apart. Of two lists

- the *overlap* is the share of the first ten that stand in both;
- the *rank correlation* is Spearman's, over the products that both have (3 or more);
- the *score agreement* is the correlation of the scores of these products: two bundles' scores have
  other scales, so only how they rise and fall together says something.

All that is kept are sums and counts, which servers can add up.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import ArrayLike

from services.recommendations.domain.answer import Answer, Cause
from services.recommendations.domain.durations import STEPS, percentile, step_of

TOP: Final = 10
LEAST_SHARED: Final = 3
"""Products; of fewer a correlation says nothing."""


class Alike(NamedTuple):
    """Two personal lists beside each other."""

    overlap: float
    ranks: float | None
    """None where too few products are in both, or all have the same rank or score."""
    scores: float | None


class Tally(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is known of two bundles in one scenario."""

    answers: int = 0
    failed: int = 0
    """Answers that the shadow could not make."""
    differing_fallbacks: int = 0
    """Lists that only one of the two made personal."""
    compared: int = 0
    """Lists that both made personal."""
    overlap: float = 0.0
    """A sum over those; so are the others."""
    ranks: float = 0.0
    ranked: int = 0
    """How many of them had a rank correlation."""
    scores: float = 0.0
    scored: int = 0
    served_took: tuple[int, ...] = (0,) * STEPS
    """See :mod:`services.recommendations.domain.durations`."""
    shadow_took: tuple[int, ...] = (0,) * STEPS

    def __add__(self, other: Tally) -> Tally:
        """Both together."""
        sums = {name: _sum(getattr(self, name), getattr(other, name)) for name in FIELDS}
        return msgspec.convert(sums, Tally)


FIELDS: Final = Tally.__struct_fields__


class Compared(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one server has seen of two bundles, by scenario."""

    served: str
    shadow: str
    scenarios: dict[str, Tally]


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """A tally as people read it; None where nothing was compared."""

    answers: int
    failed: int
    compared: int
    overlap_at_10: float | None
    rank_correlation: float | None
    score_agreement: float | None
    differing_fallbacks: float | None
    """Share of the answers."""
    served_p50_ms: float
    served_p99_ms: float
    shadow_p50_ms: float
    shadow_p99_ms: float


def is_fallback(answer: Answer) -> bool:
    """Whether a list is something else than was asked for."""
    return answer.cause is not Cause.UNSPECIFIED


def failure() -> Tally:
    """An answer that the shadow could not make."""
    return Tally(answers=1, failed=1)


def tally_of(
    served: Answer, shadow: Answer, *, served_seconds: float, shadow_seconds: float
) -> Tally:
    """Two answers to the same request."""
    both = not is_fallback(served) and not is_fallback(shadow)
    alike = alike_of(served, shadow) if both else Alike(0.0, None, None)
    return Tally(
        answers=1,
        differing_fallbacks=int(is_fallback(served) != is_fallback(shadow)),
        compared=int(both),
        overlap=alike.overlap,
        ranks=alike.ranks or 0.0,
        ranked=int(alike.ranks is not None),
        scores=alike.scores or 0.0,
        scored=int(alike.scores is not None),
        served_took=_one(served_seconds),
        shadow_took=_one(shadow_seconds),
    )


def alike_of(served: Answer, shadow: Answer) -> Alike:
    """Two lists of the same catalogue's rows."""
    first = [{pick.row for pick in each.picks[:TOP]} for each in (served, shadow)]
    longest = max(len(rows) for rows in first)
    overlap = len(first[0] & first[1]) / longest if longest else 1.0
    places = {pick.row: place for place, pick in enumerate(shadow.picks)}
    shared = [
        (place, places[pick.row]) for place, pick in enumerate(served.picks) if pick.row in places
    ]
    if len(shared) < LEAST_SHARED:
        return Alike(overlap, None, None)
    ours, theirs = zip(*shared, strict=True)
    return Alike(
        overlap,
        _correlation(np.argsort(np.argsort(ours)), np.argsort(np.argsort(theirs))),
        _correlation(
            [served.picks[place].score for place in ours],
            [shadow.picks[place].score for place in theirs],
        ),
    )


def figures(tally: Tally) -> Figures:
    """A tally's means, shares and percentiles."""
    served, shadow = tally.served_took, tally.shadow_took
    return Figures(
        answers=tally.answers,
        failed=tally.failed,
        compared=tally.compared,
        overlap_at_10=_mean(tally.overlap, tally.compared),
        rank_correlation=_mean(tally.ranks, tally.ranked),
        score_agreement=_mean(tally.scores, tally.scored),
        differing_fallbacks=_mean(tally.differing_fallbacks, tally.answers - tally.failed),
        served_p50_ms=1e3 * percentile(served, 0.5),
        served_p99_ms=1e3 * percentile(served, 0.99),
        shadow_p50_ms=1e3 * percentile(shadow, 0.5),
        shadow_p99_ms=1e3 * percentile(shadow, 0.99),
    )


def _correlation(one: ArrayLike, other: ArrayLike) -> float | None:
    """Pearson's; None where either does not vary."""
    x, y = np.asarray(one, np.float64), np.asarray(other, np.float64)
    x, y = x - x.mean(), y - y.mean()
    lengths = float(np.sqrt((x @ x) * (y @ y)))
    return float(x @ y) / lengths if lengths > 0 else None


def _mean(total: float, count: int) -> float | None:
    return total / count if count else None


def _one(seconds: float) -> tuple[int, ...]:
    step = step_of(seconds)
    return (0,) * step + (1,) + (0,) * (STEPS - step - 1)


def _sum(one: float | tuple[int, ...], other: float | tuple[int, ...]) -> float | tuple[int, ...]:
    if isinstance(one, tuple) and isinstance(other, tuple):
        return tuple(each + more for each, more in zip(one, other, strict=True))
    return one + other  # type: ignore[operator]  # fields of one name are of one kind
