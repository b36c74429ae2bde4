"""How well a model in training foretells the validation part."""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from model_export.dataset import VALIDATION, Prepared, vocabulary_index
from model_export.evaluation.cases import HISTORY, cases_of
from model_export.evaluation.metrics import TOP, ndcg
from model_export.modelling.transformer import Transformer
from services.shared.model_input import encode_known

CHUNK: Final = 256


class Validation:
    """The validation baskets, encoded once."""

    def __init__(self, data: Prepared, known: NDArray[np.int32], max_length: int) -> None:
        """``known`` are the items with a vector, in the vocabulary's order."""
        index = vocabulary_index(data.ids, known)
        inputs, self._relevant = [], []
        for case in cases_of(data, VALIDATION):
            newest = slice(max(case.before.start, case.before.stop - HISTORY), case.before.stop)
            items = index[data.items[newest]]
            rows = np.flatnonzero(items)[-max_length:]
            actions, at = data.actions[newest][rows], data.at[newest][rows]
            inputs.append(encode_known(items[rows], actions, at, max_length=max_length))
            # A product without a vector can only be missed: it keeps an index of its own.
            self._relevant.append(np.where(index[case.relevant], index[case.relevant], -1))
        self._inputs = [
            torch.from_numpy(np.stack(part)).long() for part in zip(*inputs, strict=True)
        ]

    @torch.no_grad()
    def ndcg(self, model: Transformer) -> float:
        """The mean NDCG@10 over the baskets; 0 where there are none."""
        if not self._relevant:
            return 0.0
        gains: list[float] = []
        for start in range(0, len(self._relevant), CHUNK):
            items, actions, gaps = (part[start : start + CHUNK] for part in self._inputs)
            last = torch.full((len(items), 1), items.shape[1] - 1)
            queries = model(model.items(items), actions, gaps, last)[:, 0]
            scores = queries @ model.items.weight[1:].T
            best = scores.topk(min(TOP, scores.shape[1])).indices.numpy() + 1
            relevant = self._relevant[start : start + CHUNK]
            gains.extend(ndcg(row, each) for row, each in zip(best, relevant, strict=True))
        return float(np.mean(gains))
