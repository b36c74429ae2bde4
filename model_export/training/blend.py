"""Chooses how the model is blended with what was bought, with neighbours and with popularity.

The score of a product, as :mod:`services.shared.scores` has it, needs four numbers: what
likeness to the history and first purchases weigh beside the model for products that were not
bought, and the scale and offset of the repeat table for those that were. They are searched on
the validation part, for NDCG@10, in two steps that do not touch each other: how products
outside of the history are ordered decides *new* purchases alone, and then where those of the
history come in among them decides *all* purchases. A linear blend of few weights found by a
grid is what reranking by several signals mostly comes down to (Metzler and Croft, "Linear
Feature-based Models for Information Retrieval", 2007, show that such a search serves as well as
any gradient where the figure itself has none).

No grid has a unit of its own: weights are tried as multiples of the ratio of two signals'
spreads, offsets as quantiles of how far a shopper's best product outside of the history is
ahead of the best one in it. The simplest blend is tried first, and only a better one takes its
place. Among the offsets is one that masks all that was bought: where nobody buys a thing twice
it wins, and where no repeat was seen it is the only one.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from model_export.dataset import VALIDATION, Prepared
from model_export.evaluation.cases import cases_of
from model_export.evaluation.metrics import DISCOUNT, TOP
from model_export.training.candidates import Parts, Scores, Signals, learn_signals, parts_of
from services.shared.bundle_settings import Blend
from services.shared.item_vectors import Floats
from services.shared.neighbours import Neighbours
from services.shared.repeat import MASKED, RepeatTable, numbers

MULTIPLES: Final = (0.0, *(2.0**power for power in range(-4, 5)))
SCALES: Final = tuple(2.0 ** (power / 2) for power in range(-4, 7))
AHEAD: Final = (0.0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 1.0)
"""Quantiles that are tried as offsets."""
BEYOND: Final = 1.0
"""By so much more all that was bought comes before all that was not, where both may be equal."""
MOST_CASES: Final = 5_000
"""Evenly out of all; the search then takes half a minute, and more would say no more."""


class Weights(NamedTuple):
    """A blend, and how well it does on the validation part."""

    neighbours: float
    first: float
    scale: float
    """Of the repeat table's logarithms."""
    offset: float
    """What is added to them; ``MASKED`` masks what was bought."""
    ndcg: float
    """NDCG@10 on all purchases."""
    ndcg_new: float
    """On new ones; 0 where there are none."""


def learn_weights(
    data: Prepared, index: NDArray[np.integer], scores: Scores, *, days: int | None
) -> Weights | None:
    """The weights that do best on the validation part; None where it has nothing to foretell.

    ``index`` [items] has the row of each item of the data, 0 for one the model does not know;
    ``days`` is the window of popularity, see :func:`learn_signals`. ``scores`` must come from
    a model that has not learned from the validation part.
    """
    cases = cases_of(data, VALIDATION)
    cases = cases[:: max(1, -(-len(cases) // MOST_CASES))]
    if not cases:
        return None
    signals = learn_signals([data], index, before=VALIDATION, days=days)
    parts = parts_of(data, cases, scores, index, signals)
    return choose(parts, repeats=signals.repeat.repeats)


def choose(parts: Parts, *, repeats: int) -> Weights:
    """The weights that do best on ``parts``; ``repeats`` is how many the table has learned from."""
    bought = np.isfinite(parts.again)
    plain = Weights(0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    outside = _choose_outside(parts, plain, ~bought & np.isfinite(parts.model))
    if not bought.any():
        return outside._replace(ndcg=_ndcg(_outside(parts, outside), parts.relevant, parts.most))
    return _choose_again(parts, outside, bought, repeats)


def extras(signals: Signals, weights: Weights) -> tuple[Blend, Neighbours | None, RepeatTable]:
    """What a bundle has beside the model: the signals, scaled by the weights."""
    table = signals.repeat
    masked = weights.offset == MASKED
    scaled = weights.scale * table.score + weights.offset
    score = np.where(masked, MASKED, np.round(scaled, 4))
    again = weights.scale * table.again
    repeat = RepeatTable(
        counts=table.counts,
        recency_days=table.recency_days,
        score=tuple(map(tuple, score.tolist())),
        again=numbers(again) if weights.scale and not masked else b"",
        first=numbers(weights.first * signals.first) if weights.first else b"",
    )
    near = signals.neighbours if weights.neighbours else None
    return Blend(neighbours=weights.neighbours, repeat=1.0), near, repeat


def _choose_outside(parts: Parts, plain: Weights, outside: NDArray[np.bool_]) -> Weights:
    """How products that were not bought are ordered: what is best on new purchases."""
    new = parts.relevant & ~parts.had
    found = plain._replace(ndcg_new=_ndcg_new(parts, plain, new))
    spread = _spread(parts.model, outside)
    units = [_ratio(spread, _spread(part, outside)) for part in (parts.neighbours, parts.first)]
    grid = [
        plain._replace(neighbours=near * units[0], first=first * units[1])
        for near in MULTIPLES
        for first in MULTIPLES
    ]
    for weights in sorted(set(grid), key=_complexity):
        ndcg = _ndcg_new(parts, weights, new)
        if ndcg > found.ndcg_new:
            found = weights._replace(ndcg_new=ndcg)
    return found


def _choose_again(
    parts: Parts, outside: Weights, bought: NDArray[np.bool_], repeats: int
) -> Weights:
    """Where what was bought comes in: what is best on all purchases."""
    others = np.where(bought, -np.inf, _outside(parts, outside))
    again = np.where(bought, parts.again, 0.0)
    unit = _ratio(_spread(parts.model, bought), _spread(again, bought))
    scales = [scale * unit for scale in SCALES] if repeats and unit else []
    masked = outside._replace(offset=MASKED)
    tried = [masked, outside] if repeats else [masked]
    asked = bought.any(axis=1)
    for scale in [0.0, *scales] if repeats else []:
        mine = np.where(bought, parts.model + scale * again, -np.inf).max(axis=1)
        offsets = _offsets((others.max(axis=1) - mine)[asked])
        tried += [outside._replace(scale=scale, offset=offset) for offset in offsets]
    found = masked._replace(ndcg=-1.0)
    for weights in tried:
        mine = parts.model + weights.scale * again + weights.offset
        ndcg = _ndcg(np.where(bought, mine, others), parts.relevant, parts.most)
        if ndcg > found.ndcg:
            found = weights._replace(ndcg=ndcg)
    return found


def _offsets(ahead: Floats) -> list[float]:
    """Offsets that bring more and more shoppers' best products of their own to the top.

    ``ahead`` is by how much the best of all others is ahead of it; -inf where there are none.
    """
    ahead = ahead[np.isfinite(ahead)]
    return [*np.quantile(ahead, AHEAD).tolist(), float(ahead.max()) + BEYOND] if len(ahead) else []


def _outside(parts: Parts, weights: Weights) -> Floats:
    """The scores [C, K] of products as if none had been bought."""
    near, first = np.float32(weights.neighbours), np.float32(weights.first)
    scores: Floats = parts.model + near * parts.neighbours + first * parts.first
    return scores


def _ndcg_new(parts: Parts, weights: Weights, new: NDArray[np.bool_]) -> float:
    scores = np.where(parts.had, -np.inf, _outside(parts, weights))
    return _ndcg(scores, new, parts.most_new)


def _ndcg(scores: Floats, relevant: NDArray[np.bool_], most: NDArray[np.float64]) -> float:
    """The mean NDCG@10 of scores [C, K] over the cases that have something relevant."""
    asked = most > 0
    if not asked.any():
        return 0.0
    count = min(TOP, scores.shape[1] - 1)
    best = np.argpartition(-scores, count, axis=1)[:, :count]
    best = np.sort(best, axis=1)  # ties by place, as in every ranking
    found = np.take_along_axis(scores, best, axis=1)
    best = np.take_along_axis(best, np.argsort(-found, axis=1, kind="stable"), axis=1)
    hits = np.take_along_axis(relevant, best, axis=1) @ DISCOUNT[:count]
    return float((hits[asked] / most[asked]).mean())


def _spread(part: Floats, among: NDArray[np.bool_]) -> float:
    """The mean over cases of a signal's standard deviation ``among`` some candidates."""
    counts = among.sum(axis=1)
    some = np.where(among, part, 0.0)[counts > 1]
    counts = counts[counts > 1, None]
    if not len(some):
        return 0.0
    means = some.sum(axis=1, keepdims=True) / counts
    squares = (some**2).sum(axis=1, keepdims=True) / counts - means**2
    return float(np.sqrt(np.maximum(squares, 0.0)).mean())


def _ratio(spread: float, other: float) -> float:
    """How large an ``other`` signal's unit is; beside a model that says nothing, any will do."""
    return (spread or 1.0) / other if other > 0 else 0.0


def _complexity(weights: Weights) -> tuple[int, float, float]:
    """Fewer signals are simpler, then smaller weights."""
    used = (weights.neighbours > 0) + (weights.first > 0)
    return used, weights.neighbours, weights.first
