"""The whole model: a table of products, an encoder of histories, a head that asks.

score(product i | history, action a) = q_a · v_i, where v_i is a unit vector and q_a a unit
vector divided by the temperature: cosines, so that popular products do not win by length
alone. Asked for several actions at once, scores are summed by weight, which is the same as
summing the queries: one matrix product, whatever a scenario wants.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, Protocol

import torch
from torch import Tensor, nn

from model_export.modelling.encoder_decoder import EncoderDecoder
from model_export.modelling.item_table import CodedItems, Items, ItemTable, unit
from model_export.modelling.transformer import Transformer
from model_export.settings import Architecture
from services.shared.model_input import TARGETS


class HistoryEncoder(Protocol):
    """What an architecture must do; both are ``nn.Module`` s."""

    def __call__(
        self, vectors: Tensor, actions: Tensor, gaps: Tensor, segments: Tensor, asked: Tensor
    ) -> Tensor:
        """The states [B,Q,d] of histories at the positions ``asked`` [B,Q].

        vectors [B,L,d] are rows of the table; actions, gaps and segments are [B,L]. A state
        may depend on positions of the same segment up to its own, and on nothing else.
        """
        ...


ENCODERS: Final[Mapping[str, Callable[[Architecture], HistoryEncoder]]] = {
    "causal": Transformer,
    "encoder-decoder": EncoderDecoder,
}


class Head(nn.Module):
    """From a state to a query for each action that can be foretold.

    Each action scales and moves the state before it becomes a direction (FiLM; Perez et
    al., 2018).
    """

    def __init__(self, shape: Architecture) -> None:
        super().__init__()
        self.temperature = shape.temperature
        self.scale = nn.Parameter(torch.ones(len(TARGETS), shape.dimensions))
        self.shift = nn.Parameter(torch.zeros(len(TARGETS), shape.dimensions))

    def forward(self, states: Tensor) -> Tensor:
        """[..., d] → queries [..., A, d] of length 1/temperature."""
        asked: Tensor = unit(states.unsqueeze(-2) * self.scale + self.shift)
        return asked / self.temperature


class Model(nn.Module):
    """What is trained, kept in a checkpoint and exported."""

    def __init__(self, shape: Architecture, has_id: Tensor, features: Tensor, text: Tensor) -> None:
        """See :class:`model_export.modelling.item_table.Items` for all but the shape."""
        super().__init__()
        self.shape = shape
        kind = CodedItems if shape.codes else ItemTable
        self.items: Items = kind(shape, has_id, features, text)
        self.encoder = ENCODERS[shape.kind](shape)
        self.head = Head(shape)

    def states(
        self, vectors: Tensor, actions: Tensor, gaps: Tensor, segments: Tensor, asked: Tensor
    ) -> Tensor:
        """See :class:`HistoryEncoder`."""
        found: Tensor = self.encoder(vectors, actions, gaps, segments, asked)
        return found

    def forward(self, vectors: Tensor, actions: Tensor, gaps: Tensor, wanted: Tensor) -> Tensor:
        """What a server asks: the query [B,d] at the end of histories padded on the left.

        vectors [B,L,d]; actions and gaps [B,L]; wanted [B,A], how much each action counts.
        """
        segments = torch.where(actions > 0, 0, -1)
        last = torch.full_like(actions[:, :1], actions.shape[1] - 1)
        queries = self.head(self.states(vectors, actions, gaps, segments, last)[:, 0])
        query: Tensor = (queries * wanted.unsqueeze(-1)).sum(1)
        return query
