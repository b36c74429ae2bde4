"""Scores of all items of a file for its users, by a model alone and blended as a bundle is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from model_export.dataset import Prepared
from model_export.evaluation.cases import Case
from model_export.modelling.model import Model
from model_export.preparation.sources import STEP
from model_export.training.blend import Weights, learn_weights
from model_export.training.candidates import Signals, learn_signals
from services.shared.item_vectors import Floats
from services.shared.model_input import PURCHASE, TARGETS, ModelInput, encode_known
from tests.bench.accuracy import ruler
from tests.bench.accuracy.contract import Figures

WANTED: Final = torch.tensor([[float(each == PURCHASE) for each in TARGETS]])


class Blend(NamedTuple):
    """What is added to a model's scores, and how much of it."""

    weights: Weights
    signals: Signals


class Scorer:
    """Scores all items for users, with a model in the state in which it is."""

    def __init__(self, items: int, known: NDArray[np.int64], length: int) -> None:
        """``known`` [n] are those of the file's ``items`` that the model knows, in its order."""
        self.items, self.known, self._length = items, known, length
        self._rows = np.zeros(items + 1, dtype=np.int64)
        self._rows[known] = np.arange(1, len(known) + 1)

    @torch.no_grad()
    def blocks(
        self,
        model: Model,
        histories: Sequence[NDArray[np.int64]],
        blend: Blend | None = None,
    ) -> Iterator[NDArray[np.float32]]:
        """Scores [users, items + 1] for a few users at a time; -inf for what it does not know."""
        table = model.items.vectors()
        for start in range(0, len(histories), ruler.BLOCK):
            block = histories[start : start + ruler.BLOCK]
            inputs = [self._input(each) for each in block]
            rows, actions, gaps = (np.stack(part) for part in zip(*inputs, strict=True))
            items = torch.from_numpy(rows).long()
            told = torch.from_numpy(actions), torch.from_numpy(gaps), WANTED.expand(len(items), -1)
            query = model(table[items], *told)
            scores = np.full((len(items), self.items + 1), -np.inf, np.float32)
            scores[:, self.known] = (query @ table[1:].T).numpy()
            if blend is not None:
                scores[:, self.known] += self._added(blend, block)
            yield scores

    def figures(
        self,
        model: Model,
        histories: Sequence[NDArray[np.int64]],
        targets: NDArray[np.int64],
        *,
        masked: bool,
        blend: Blend | None = None,
    ) -> Figures:
        """How well ``targets`` are foretold from ``histories``."""
        places, start = [], 0
        for scores in self.blocks(model, histories, blend):
            rows = slice(start, start + len(scores))
            if masked:
                ruler.mask(scores, histories[rows])
            places.append(ruler.ranks(scores, targets[rows]))
            start = rows.stop
        return ruler.figures(places)

    def weights(self, model: Model, data: Prepared) -> Weights:
        """How much of each signal does best on the validation items, as an export finds it."""
        numbers = np.array(data.ids.items).astype(np.int64)

        def scores(cases: Sequence[Case]) -> Floats:
            histories = [numbers[data.items[case.before]] for case in cases]
            (found,) = self.blocks(model, histories)
            return found[:, [0, *self.known]]

        found = learn_weights(data, self._rows[numbers], scores, days=None)
        if found is None:
            raise ValueError(f"{data.source.name}: nothing validates")
        return found

    def signals(self, data: Prepared, *, before: int) -> Signals:
        """What is learned beside the model from the parts below ``before``."""
        numbers = np.array(data.ids.items).astype(np.int64)
        return learn_signals([data], self._rows[numbers], before=before, days=None)

    def _added(self, blend: Blend, histories: Sequence[NDArray[np.int64]]) -> Floats:
        """[users, n] of neighbours and first purchases; what was bought is masked later."""
        weights, signals = blend
        added = np.tile(np.float32(weights.first) * signals.first, (len(histories), 1))
        for row, history in zip(added, histories, strict=True):
            items = self._rows[history]
            items = items[items > 0]
            near, likes = signals.neighbours.scores(items, np.ones(len(items), np.float32))
            row += np.float32(weights.neighbours) * np.bincount(near, likes, len(row)).astype(
                np.float32
            )
        return added[:, 1:]

    def _input(self, history: NDArray[np.int64]) -> ModelInput:
        rows = self._rows[history]
        at = np.arange(len(history)) * STEP
        kept = np.flatnonzero(rows)[-self._length :]
        actions = np.full(len(kept), PURCHASE)
        return encode_known(rows[kept], actions, at[kept], max_length=self._length)
