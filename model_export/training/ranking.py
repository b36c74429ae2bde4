"""Ranks with a network as it is trained, before it becomes a bundle."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from model_export.dataset import Prepared, vocabulary_index
from model_export.evaluation.cases import HISTORY, Case, Ranking
from model_export.evaluation.metrics import best
from model_export.modelling.model import Model
from services.shared.model_input import PURCHASE, TARGETS, ModelInput, encode_known

CHUNK: Final = 128


class NetworkRanker:
    """The network alone, asked for purchases; products that it does not know rank nowhere."""

    def __init__(self, data: Prepared, model: Model, product_ids: Sequence[str]) -> None:
        """``product_ids`` are the model's, in its order, and all of them the data's."""
        self._data = data
        self._model = model.eval()
        self._codes = np.searchsorted(data.ids.items, product_ids)
        self._index = vocabulary_index(data.ids, self._codes)
        self._length = model.shape.max_length
        wanted = torch.tensor([[float(each == PURCHASE) for each in TARGETS]])
        self._device = next(model.parameters()).device
        self._wanted = wanted.to(self._device)

    @torch.no_grad()
    def rank(self, cases: Sequence[Case]) -> Iterator[Ranking]:
        """See :class:`model_export.evaluation.baselines.Ranker`."""
        table = self._model.items.vectors()[1:]
        for start in range(0, len(cases), CHUNK):
            chunk = cases[start : start + CHUNK]
            inputs = [self._input(case.before) for case in chunk]
            items, actions, gaps = (
                torch.from_numpy(np.stack(part)).long().to(self._device)
                for part in zip(*inputs, strict=True)
            )
            wanted = self._wanted.expand(len(chunk), -1)
            queries = self._model(self._model.items(items), actions, gaps, wanted)
            for case, row in zip(chunk, (queries @ table.T).cpu().numpy(), strict=True):
                yield self._ranking(row, case)

    def _ranking(self, scores: NDArray[np.float32], case: Case) -> Ranking:
        every = self._codes[best(scores)]
        bought = self._index[case.bought]
        scores[bought[bought > 0] - 1] = -np.inf
        return Ranking(every, self._codes[best(scores)])

    def _input(self, before: slice) -> ModelInput:
        newest = slice(max(before.start, before.stop - HISTORY), before.stop)
        index = self._index[self._data.items[newest]]
        known = np.flatnonzero(index)[-self._length :]
        return encode_known(
            index[known],
            self._data.actions[newest][known],
            self._data.at[newest][known],
            max_length=self._length,
        )
