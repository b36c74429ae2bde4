"""The training loss: a softmax over the catalogue, estimated from shared negatives.

Half of the negatives are drawn uniformly, half as often as the products are bought, once
for the whole batch. Each counts in the sum as often as it was drawn too seldom: its score
is lowered by log(K · Q(i)), where Q is how likely a draw is to give it and K the number of
draws (logQ correction; Bengio & Senécal, 2008). The target itself was not drawn and is not
corrected (Khrylchenko et al., "Correcting the LogQ Correction", 2025).

In a catalogue of no more products than negatives are wanted, each is taken once: the full
softmax.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

MOST_OWN: Final = -1e-6
"""The log of the greatest share of the sum that is taken out; rounding could make it all."""


@dataclass(frozen=True, slots=True)
class Negatives:
    """Products drawn for one batch."""

    items: Tensor
    """[K] indices, ascending."""
    log_expected: Tensor
    """[K] log of how often each is expected among K draws."""

    def to(self, device: torch.device) -> Negatives:
        """The same on another device."""
        return Negatives(self.items.to(device), self.log_expected.to(device))


class Sampler:
    """Draws negatives: half uniform, half by popularity."""

    def __init__(self, counts: NDArray[np.int64]) -> None:
        """``counts`` [n] says how often each product is a target; padding, row 0, never is."""
        real = np.arange(len(counts)) > 0
        bought = np.where(real, counts, 0)
        self._chance = 0.5 * real / real.sum() + 0.5 * bought / bought.sum()
        self._cumulative = np.cumsum(self._chance)

    def negatives(self, number: int, random: np.random.Generator) -> Negatives:
        """As many as wanted, drawn; where there are no more, all products once."""
        products = len(self._chance) - 1
        if number < products:
            return self.draw(number, random)
        return Negatives(torch.arange(1, products + 1), torch.zeros(products))

    def draw(self, number: int, random: np.random.Generator) -> Negatives:
        """Draw ``number`` products, with replacement."""
        spots = random.random(number) * self._cumulative[-1]
        items = np.sort(np.searchsorted(self._cumulative, spots, side="right"))
        expected = np.log(number * self._chance[items])
        return Negatives(torch.from_numpy(items), torch.from_numpy(expected.astype(np.float32)))


def sampled_softmax(
    queries: Tensor,
    drawn: Tensor,
    wanted: Tensor,
    asked: Tensor,
    targets: Tensor,
    negatives: Negatives,
) -> Tensor:
    """The loss [P] of P pairs of a query and a product that followed it.

    queries [M,d]; drawn [K,d] and wanted [P,d] are the vectors of the negatives and of the
    targets; asked [P] are rows of queries, targets [P] indices. Where a target is among the
    negatives too, its share is taken out of their sum, so that with every product drawn
    once this is the full softmax.
    """
    scores = (queries[asked] * wanted).sum(-1)
    log_sum = (queries @ drawn.T - negatives.log_expected).logsumexp(dim=-1)[asked]
    first = torch.searchsorted(negatives.items, targets)
    times = torch.searchsorted(negatives.items, targets, right=True) - first
    expected = negatives.log_expected[first.clamp(max=len(negatives.items) - 1)]
    own = scores - expected + times.clamp(min=1).log() - log_sum
    own = torch.where(times > 0, own, torch.full_like(own, -torch.inf))
    others = log_sum + torch.log1p(-own.clamp(max=MOST_OWN).exp())
    return torch.nn.functional.softplus(others - scores)
