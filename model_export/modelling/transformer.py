"""The causal encoder: a Transformer over (item, action, time), read top to bottom.

Shapes: B rows of L interactions, Q of whose positions are asked, H heads, d dimensions.
A row may hold the histories of several shoppers one after the other (packing, so that no
step computes on padding); ``segments`` says whose each position is, -1 for padding.
"""

from __future__ import annotations

import math
from typing import Final

import torch
from torch import Tensor, nn

from model_export.settings import Architecture
from services.shared.model_input import ACTIONS, GAP_BUCKETS

TIME_BUCKETS: Final = GAP_BUCKETS + 8
"""Sums of a hundred gaps may be longer than the longest gap."""


def attention(query: Tensor, key: Tensor, value: Tensor, bias: Tensor) -> Tensor:
    """softmax(QKᵀ/√d_k + bias)V, equation 1 of "Attention Is All You Need" (Vaswani et al., 2017).

    query [B,H,Q,d_k]; key and value [B,H,L,d_k]; bias [B,H,Q,L], -inf where a position
    must not look. Answers [B,H,Q,d_k].
    """
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])
    return (scores + bias).softmax(dim=-1) @ value


class Attention(nn.Module):
    """Several heads of :func:`attention` side by side."""

    def __init__(self, shape: Architecture) -> None:
        super().__init__()
        self.heads = shape.heads
        self.query = nn.Linear(shape.dimensions, shape.dimensions, bias=False)
        self.key = nn.Linear(shape.dimensions, shape.dimensions, bias=False)
        self.value = nn.Linear(shape.dimensions, shape.dimensions, bias=False)
        self.output = nn.Linear(shape.dimensions, shape.dimensions, bias=False)

    def forward(self, asking: Tensor, history: Tensor, bias: Tensor) -> Tensor:
        """Asking [B,Q,d], history [B,L,d], bias [B,H,Q,L] → [B,Q,d]."""
        query = self._split(self.query(asking))
        key, value = self._split(self.key(history)), self._split(self.value(history))
        mixed = attention(query, key, value, bias)
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
        d, wide = shape.dimensions, shape.feed_forward * shape.dimensions
        self.before_attention = nn.LayerNorm(d)
        self.attention = Attention(shape)
        self.after_attention = Gated(shape)
        self.before_thought = nn.LayerNorm(d)
        self.thought = nn.Sequential(nn.Linear(d, wide), nn.SiLU(), nn.Linear(wide, d))
        self.after_thought = Gated(shape)

    def forward(self, asking: Tensor, history: Tensor, bias: Tensor) -> Tensor:
        """Asking [B,Q,d], history [B,L,d], bias [B,H,Q,L] → [B,Q,d]."""
        norm = self.before_attention
        looked = self.attention(norm(asking), norm(history), bias)
        x = self.after_attention(asking, looked)
        thought: Tensor = self.after_thought(x, self.thought(self.before_thought(x)))
        return thought


class RelativeBias(nn.Module):
    """How much a head looks back by how many places and how much time lie between.

    One learned number for each distance and each doubling of the time between, added to
    the scores (Shaw et al., 2018; Zhai et al., "Actions Speak Louder than Words", 2024).
    """

    def __init__(self, shape: Architecture) -> None:
        super().__init__()
        self.distances = nn.Parameter(torch.zeros(shape.heads, shape.max_length))
        self.times = nn.Parameter(torch.zeros(shape.heads, TIME_BUCKETS))

    def forward(self, gaps: Tensor, asked: Tensor) -> Tensor:
        """Gaps [B,L], asked [B,Q] → [B,H,Q,L]; nothing is blocked yet."""
        places = torch.arange(gaps.shape[1], device=gaps.device)
        back = (asked.unsqueeze(-1) - places).clamp(min=0)
        since = time_buckets(gaps, asked)
        bias: Tensor = self.distances[:, back] + self.times[:, since]
        return bias.transpose(0, 1)


def time_buckets(gaps: Tensor, asked: Tensor) -> Tensor:
    """The time between position q of ``asked`` [B,Q] and each position, in buckets [B,Q,L].

    Gap bucket b ≥ 1 stands for its middle, 1.5 · 2^(b-1) seconds. Their sums are multiples
    of 1.5 and so no powers of two: no rounding can put one into another bucket. Doubles, as
    a second matters also after years.
    """
    seconds = torch.where(gaps > 0, 0.75 * torch.exp2(gaps.double()), 0.0)
    at = seconds.cumsum(1)
    between = at.gather(1, asked).unsqueeze(-1) - at.unsqueeze(1)
    bucket = torch.where(between >= 1, between.clamp(min=1).log2().floor() + 1, 0.0)
    return bucket.long().clamp(max=TIME_BUCKETS - 1)


class Recall(nn.Module):
    """Attention whose values are the history's own item vectors, untouched.

    Its answer lies near the vectors of what the shopper keeps coming back to, so buying
    something again is learned from the first step, and what is bought three times counts
    three times. The idea of copying from the input: pointer networks (Vinyals et al., 2015).
    """

    FIRST_GAIN: Final = 3.0
    """A purchase in a hundred must show beside a state whose components are about 1."""

    def __init__(self, shape: Architecture) -> None:
        super().__init__()
        d = shape.dimensions
        self.norm = nn.LayerNorm(d)
        self.query = nn.Linear(d, d, bias=False)
        self.key = nn.Linear(d, d, bias=False)
        self.gain = nn.Parameter(torch.full((d,), self.FIRST_GAIN * d**0.5))

    def forward(self, asking: Tensor, history: Tensor, vectors: Tensor, bias: Tensor) -> Tensor:
        """Asking [B,Q,d], history and vectors [B,L,d], bias [B,1,Q,L] → [B,Q,d]."""
        query, key = self.query(asking).unsqueeze(1), self.key(self.norm(history)).unsqueeze(1)
        recalled = attention(query, key, vectors.unsqueeze(1), bias).squeeze(1)
        return self.gain * recalled


class Transformer(nn.Module):
    """From histories to states; see :class:`model_export.modelling.model.HistoryEncoder`."""

    def __init__(self, shape: Architecture) -> None:
        super().__init__()
        d = shape.dimensions
        self.actions = nn.Embedding(len(ACTIONS), d)
        self.gaps = nn.Embedding(GAP_BUCKETS, d)
        self.bias = RelativeBias(shape)
        self.dropout = nn.Dropout(shape.dropout)
        self.layers = nn.ModuleList(Layer(shape) for _ in range(shape.layers))
        self.norm = nn.LayerNorm(d)
        self.recall = Recall(shape) if shape.recall else None
        for table in (self.actions, self.gaps):
            nn.init.normal_(table.weight, std=0.3 * d**-0.5)

    def forward(
        self, vectors: Tensor, actions: Tensor, gaps: Tensor, segments: Tensor, asked: Tensor
    ) -> Tensor:
        """The states [B,Q,d] at the positions ``asked``; the last layer computes only those."""
        x = self.dropout(vectors + self.actions(actions) + self.gaps(gaps))
        places = torch.arange(x.shape[1], device=x.device).expand(x.shape[0], -1)
        *first, last = self.layers
        for layer in first:
            x = layer(x, x, self.bias(gaps, places) + blocked(segments, places))
        asking = x.gather(1, asked.unsqueeze(-1).expand(-1, -1, x.shape[-1]))
        barred = blocked(segments, asked)
        state: Tensor = self.norm(last(asking, x, self.bias(gaps, asked) + barred))
        return state if self.recall is None else state + self.recall(state, x, vectors, barred)


def blocked(segments: Tensor, asked: Tensor) -> Tensor:
    """[B,1,Q,L] with -inf where position q of ``asked`` [B,Q] must not look, else 0.

    Not at what is later, another shopper's, or padding. Each position may look at itself,
    also where it is padding: a softmax over nothing would be no number.
    """
    places = torch.arange(segments.shape[1], device=segments.device)
    back = asked.unsqueeze(-1) - places
    own = segments.gather(1, asked).unsqueeze(-1) == segments.unsqueeze(1)
    there = (back >= 0) & own & (segments >= 0).unsqueeze(1)
    seen = there | (back == 0)
    return torch.where(seen, 0.0, -torch.inf).unsqueeze(1)
