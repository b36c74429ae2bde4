"""The model: a causal Transformer over (item, action, time gap), read top to bottom.

Shapes: B sequences of L interactions, Q of whose positions are asked, H heads, d
dimensions, n products with padding at row 0. A shopper's query vector is scored against
all products by one matrix product with the same table that the history was looked up in.
"""

from __future__ import annotations

import math
from typing import Final

import torch
from torch import Tensor, nn

from model_export.settings import Architecture
from services.shared.model_input import ACTIONS, GAP_BUCKETS, PAD


def attention(query: Tensor, key: Tensor, value: Tensor, blocked: Tensor) -> Tensor:
    """softmax(QKᵀ/√d_k)V, equation 1 of "Attention Is All You Need" (Vaswani et al., 2017).

    query [B,H,Q,d_k]; key and value [B,H,L,d_k]; blocked [B,1,Q,L] is true where a
    position must not look. Answers [B,H,Q,d_k].
    """
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])
    return scores.masked_fill(blocked, -torch.inf).softmax(dim=-1) @ value


class Attention(nn.Module):
    """Several heads of :func:`attention` side by side."""

    def __init__(self, shape: Architecture) -> None:
        super().__init__()
        self.heads = shape.heads
        self.query = nn.Linear(shape.dimensions, shape.dimensions, bias=False)
        self.key = nn.Linear(shape.dimensions, shape.dimensions, bias=False)
        self.value = nn.Linear(shape.dimensions, shape.dimensions, bias=False)
        self.output = nn.Linear(shape.dimensions, shape.dimensions, bias=False)

    def forward(self, asking: Tensor, history: Tensor, blocked: Tensor) -> Tensor:
        """Asking [B,Q,d], history [B,L,d] → [B,Q,d]."""
        query = self._split(self.query(asking))
        key, value = self._split(self.key(history)), self._split(self.value(history))
        mixed = attention(query, key, value, blocked.unsqueeze(1))
        output: Tensor = self.output(mixed.transpose(1, 2).flatten(2))
        return output

    def _split(self, x: Tensor) -> Tensor:
        """[B,L,d] → [B,H,L,d/H]."""
        batch, length, _ = x.shape
        return x.view(batch, length, self.heads, -1).transpose(1, 2)


class Gated(nn.Module):
    """x + sigmoid(Wx) ⊙ f(norm(x)): the layer itself learns how much of it to let in.

    The gated residual of LiGR (Borisyuk et al., "From Features to Transformers", 2025).
    """

    def __init__(self, shape: Architecture) -> None:
        super().__init__()
        self.gate = nn.Linear(shape.dimensions, shape.dimensions)
        self.dropout = nn.Dropout(shape.dropout)

    def forward(self, x: Tensor, update: Tensor) -> Tensor:
        """Both [..., d]."""
        let_in: Tensor = torch.sigmoid(self.gate(x)) * self.dropout(update)
        return x + let_in


class Layer(nn.Module):
    """Look at the history, then think about it."""

    def __init__(self, shape: Architecture) -> None:
        super().__init__()
        d = shape.dimensions
        self.before_attention = nn.LayerNorm(d)
        self.attention = Attention(shape)
        self.after_attention = Gated(shape)
        self.before_thought = nn.LayerNorm(d)
        self.thought = nn.Sequential(nn.Linear(d, 4 * d), nn.SiLU(), nn.Linear(4 * d, d))
        self.after_thought = Gated(shape)

    def forward(self, asking: Tensor, history: Tensor, blocked: Tensor) -> Tensor:
        """Asking [B,Q,d], history [B,L,d], blocked [B,Q,L] → [B,Q,d]."""
        norm = self.before_attention
        looked = self.attention(norm(asking), norm(history), blocked)
        x = self.after_attention(asking, looked)
        thought: Tensor = self.after_thought(x, self.thought(self.before_thought(x)))
        return thought


class Recall(nn.Module):
    """Attention whose values are the history's own item vectors, untouched.

    Its answer lies near the vectors of what the shopper keeps coming back to, so buying
    something again is learned from the first step, and what is bought three times counts
    three times. The idea of copying from the input: pointer networks (Vinyals et al., 2015).
    """

    FIRST_GAIN: Final = 30.0
    """One purchase in a hundred must weigh in a softmax over thousands of products."""

    def __init__(self, shape: Architecture) -> None:
        super().__init__()
        d = shape.dimensions
        self.norm = nn.LayerNorm(d)
        self.query = nn.Linear(d, d, bias=False)
        self.key = nn.Linear(d, d, bias=False)
        self.gain = nn.Parameter(torch.full((d,), self.FIRST_GAIN))

    def forward(self, asking: Tensor, history: Tensor, vectors: Tensor, blocked: Tensor) -> Tensor:
        """Asking [B,Q,d], history and vectors [B,L,d], blocked [B,Q,L] → [B,Q,d]."""
        one_head = (self.query(asking), self.key(self.norm(history)), vectors, blocked)
        recalled = attention(*(each.unsqueeze(1) for each in one_head)).squeeze(1)
        return self.gain * recalled


class Transformer(nn.Module):
    """From a history to query vectors."""

    def __init__(self, shape: Architecture) -> None:
        super().__init__()
        self.shape = shape
        d = shape.dimensions
        self.items = nn.Embedding(shape.products + 1, d, padding_idx=PAD)
        self.actions = nn.Embedding(len(ACTIONS), d)
        self.gaps = nn.Embedding(GAP_BUCKETS, d)
        self.positions = nn.Embedding(shape.max_length, d)
        self.dropout = nn.Dropout(shape.dropout)
        self.layers = nn.ModuleList(Layer(shape) for _ in range(shape.layers))
        self.norm = nn.LayerNorm(d)
        self.query = nn.Linear(d, d)
        self.recall = Recall(shape)
        for table in (self.items, self.actions, self.gaps, self.positions):
            nn.init.normal_(table.weight, std=d**-0.5)
        with torch.no_grad():
            self.items.weight[PAD] = 0

    def forward(self, vectors: Tensor, actions: Tensor, gaps: Tensor, asked: Tensor) -> Tensor:
        """The queries [B,Q,d] at the positions ``asked`` [B,Q].

        vectors [B,L,d] are rows of the table of items; actions and gaps are [B,L].
        """
        x = vectors + self.actions(actions) + self.gaps(gaps) + self.positions.weight
        x = self.dropout(x)
        blocked = blocked_positions(actions)
        *first, last = self.layers
        for layer in first:
            x = layer(x, x, blocked)
        asking = x.gather(1, asked.unsqueeze(-1).expand(-1, -1, x.shape[-1]))
        blocked = blocked.gather(1, asked.unsqueeze(-1).expand(-1, -1, x.shape[1]))
        understood = self.norm(last(asking, x, blocked))
        query: Tensor = self.query(understood) + self.recall(understood, x, vectors, blocked)
        return query


def blocked_positions(actions: Tensor) -> Tensor:
    """[B,L] → [B,L,L], true where position i must not look at j: j is later, or padding.

    Each position may look at itself, also where it is padding: a softmax over nothing
    would be no number.
    """
    length = actions.shape[1]
    later = torch.ones(length, length, dtype=torch.bool, device=actions.device).triu(1)
    itself = torch.eye(length, dtype=torch.bool, device=actions.device)
    return (later | (actions == PAD).unsqueeze(1)) & ~itself
