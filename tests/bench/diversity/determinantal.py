"""The control: the most probable list of a determinantal point process, found greedily.

Chen, Zhang and Zhou, "Fast Greedy MAP Inference for Determinantal Point Process to Improve
Recommendation Diversity" (NeurIPS 2018). Of what is left it takes always the product that adds
most to

::

    (1 - strength) · Σ score  +  strength · log det S        S = (1 + cosine) / 2

over the chosen, scores from 0 to 1 as in the product. The Cholesky factor of S grows by a row
with each choice, so that none costs more than P · limit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from services.recommendations.domain.ranking import HIDDEN, Ranked
from services.shared.item_vectors import Floats

LEAST: Final = 1e-6
"""What a twin adds; its logarithm would be minus infinity."""


def determinantal(
    pool: Sequence[Ranked], directions: Floats, *, limit: int, strength: float
) -> list[Ranked]:
    """Choose ``limit`` of a pool that holds more, as ``rerank.diverse`` does without kinds."""
    scores = np.array([score for _, score in pool], dtype=np.float32)
    by_score = (1 - strength) * (scores - scores[-1]) / max(scores[0] - scores[-1], LEAST)
    likeness = (1 + directions @ directions.T) / 2
    np.fill_diagonal(likeness, 1)
    factor = np.zeros((limit, len(pool)), dtype=np.float32)
    new = np.ones(len(pool), dtype=np.float32)
    value, chosen = by_score.copy(), [0]
    for row in range(limit - 1):
        place = chosen[-1]
        own = likeness[place] - factor[:row, place] @ factor[:row]
        own /= np.sqrt(new[place])
        factor[row] = own
        new -= own * own
        np.maximum(new, LEAST, out=new)
        value = by_score + strength * np.log(new)
        value[chosen] = HIDDEN
        chosen.append(int(value.argmax()))
    return [pool[place] for place in chosen]
