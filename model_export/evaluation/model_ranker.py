"""Ranks with a bundle as a server does: newest 100 interactions, one query, all products."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from model_export.dataset import Prepared
from model_export.errors import DataRefused
from model_export.evaluation.cases import HISTORY, Case, Ranking
from model_export.evaluation.metrics import best
from services.shared.bundle import Bundle
from services.shared.encoder import Encoder
from services.shared.model_input import ModelInput, encode_known

CHUNK = 128


class ModelRanker:
    """The model of a bundle; products it has no vector of rank below all others."""

    def __init__(self, data: Prepared, bundle: Bundle) -> None:
        """Raises BundleRefused where the graph does not load, DataRefused for other products."""
        self._data = data
        self._encoder = Encoder(bundle)
        self._vectors = np.ascontiguousarray(bundle.item_vectors[1:].T)
        self._length = bundle.settings.max_length
        positions = {item: i for i, item in enumerate(data.ids.items)}
        items = [positions.get(product, -1) for product in bundle.vocabulary]
        self._items = np.array(items, dtype=np.int64)
        """[n - 1] for each product of the vocabulary its position in the data, -1 if none."""
        self._index = np.zeros(len(data.ids.items), dtype=np.int64)
        there = self._items >= 0
        if not there.any():
            raise DataRefused(
                f"{bundle.encoder_path.parent} knows none of the products of {data.source.name}: "
                "name a bundle that was trained on such data, or say --no-bundle"
            )
        self._index[self._items[there]] = np.flatnonzero(there) + 1

    def rank(self, cases: Sequence[Case]) -> Iterator[Ranking]:
        """See :class:`model_export.evaluation.baselines.Ranker`."""
        for start in range(0, len(cases), CHUNK):
            chunk = cases[start : start + CHUNK]
            inputs = [self.model_input(case.before) for case in chunk]
            items, actions, gaps = (np.stack(part) for part in zip(*inputs, strict=True))
            scores = self._encoder.encode_batch(items, actions, gaps) @ self._vectors
            for case, row in zip(chunk, scores, strict=True):
                every = self._items[best(row)]
                known = self._index[case.bought]
                row[known[known > 0] - 1] = -np.inf
                yield Ranking(every, self._items[best(row)])

    def model_input(self, before: slice) -> ModelInput:
        """What a server would give the model: of the newest interactions those it knows."""
        newest = slice(max(before.start, before.stop - HISTORY), before.stop)
        index = self._index[self._data.items[newest]]
        known = np.flatnonzero(index)[-self._length :]
        return encode_known(
            index[known],
            self._data.actions[newest][known],
            self._data.at[newest][known],
            max_length=self._length,
        )
