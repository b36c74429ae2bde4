"""Whether shoppers come to the arms in the shares that were planned.

Where they do not, something between assignment and counting loses shoppers of one arm more than
of another (an arm that crashes logs nothing), those who are left are not alike, and no difference
of the arms means anything. The test may be looked at after every shopper: Lindon and Malek,
"Anytime-valid inference for multinomial count data" (NeurIPS 2022). With θ the planned shares and
n the counts, the Dirichlet mixture over all other shares is an e-value ::

    E = Γ(c)/Γ(c + n) · Πₖ Γ(cθₖ + nₖ) / Γ(cθₖ) / θₖ^nₖ,        n = Σ nₖ

whose greatest value of all times is 100 or more with a probability of at most 1/100, and so with
any other number.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

CONCENTRATION: Final = 100.0
"""c: how near to the planned shares the mixture looks, about 1/√c of them off."""


def log_evidence(counts: Sequence[int], shares: Sequence[float]) -> float:
    """Logarithm of E against the planned ``shares``, which sum to 1; 0 where nobody came."""
    found = math.lgamma(CONCENTRATION) - math.lgamma(CONCENTRATION + sum(counts))
    for count, share in zip(counts, shares, strict=True):
        prior = CONCENTRATION * share
        found += math.lgamma(prior + count) - math.lgamma(prior) - count * math.log(share)
    return found
