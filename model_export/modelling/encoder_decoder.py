"""The second architecture: an encoder-decoder on ``torch.nn.Transformer``.

The source is what a shopper did before the current session, the target the session itself:
a long history is read once, the decoder follows the session and looks into the history
across it. A session ends with half an hour of silence. The source may look both ways among
what lies before a session, so it is read once for each of them in one pass: what is of
session s looks at sessions up to s, and the decoder in session s at sources before s.
"""

from __future__ import annotations

import warnings
from typing import Final

import torch
from torch import Tensor, nn

from model_export.settings import Architecture
from services.shared.model_input import ACTIONS, GAP_BUCKETS

SESSION_BUCKET: Final = 12
"""The first gap bucket that ends a session: it begins at 2^11 seconds, 34 minutes."""


class EncoderDecoder(nn.Module):
    """From histories to states; see :class:`model_export.modelling.model.HistoryEncoder`."""

    def __init__(self, shape: Architecture) -> None:
        super().__init__()
        d = shape.dimensions
        self.heads = shape.heads
        self.actions = nn.Embedding(len(ACTIONS), d)
        self.gaps = nn.Embedding(GAP_BUCKETS, d)
        self.places = nn.Embedding(shape.max_length, d)
        self.start = nn.Parameter(torch.zeros(1, 1, d))
        self.dropout = nn.Dropout(shape.dropout)
        self.transformer = _transformer(shape)
        for table in (self.actions, self.gaps, self.places):
            nn.init.normal_(table.weight, std=0.3 * d**-0.5)

    def forward(
        self, vectors: Tensor, actions: Tensor, gaps: Tensor, segments: Tensor, asked: Tensor
    ) -> Tensor:
        """See :class:`model_export.modelling.model.HistoryEncoder`."""
        places = torch.arange(actions.shape[1], device=actions.device)
        earlier = places.unsqueeze(1) > places
        own = (segments.unsqueeze(2) == segments.unsqueeze(1)) & (segments >= 0).unsqueeze(1)
        itself = places.unsqueeze(1) == places
        place = self.places((own & earlier).sum(2))
        x = self.dropout(vectors + self.actions(actions) + self.gaps(gaps) + place)
        session = (gaps >= SESSION_BUCKET).long().cumsum(1)
        since = session.unsqueeze(2) - session.unsqueeze(1)
        reads = nn.functional.pad(itself | (own & (since >= 0)), (1, 0, 1, 0), value=True)
        reads[:, 0, 1:] = False
        states: Tensor = self.transformer(
            torch.cat([self.start.expand(x.shape[0], -1, -1), x], dim=1),
            x,
            src_mask=self._bias(reads),
            tgt_mask=self._bias(itself | (own & (since == 0) & earlier)),
            memory_mask=self._bias(nn.functional.pad(own & (since > 0), (1, 0), value=True)),
        )
        return states.gather(1, asked.unsqueeze(-1).expand(-1, -1, x.shape[-1]))

    def _bias(self, seen: Tensor) -> Tensor:
        """[B,T,S] → [B·H,T,S], 0 where seen and -inf elsewhere, as ``nn.Transformer`` wants it."""
        return torch.where(seen, 0.0, -torch.inf).repeat_interleave(self.heads, dim=0)


def _transformer(shape: Architecture) -> nn.Transformer:
    with warnings.catch_warnings():
        # It cannot use nested tensors with norm_first, and says so; nobody asked it to.
        warnings.simplefilter("ignore")
        return nn.Transformer(
            d_model=shape.dimensions,
            nhead=shape.heads,
            num_encoder_layers=shape.layers,
            num_decoder_layers=shape.layers,
            dim_feedforward=shape.feed_forward * shape.dimensions,
            dropout=shape.dropout,
            activation=nn.functional.silu,
            batch_first=True,
            norm_first=True,
        )
