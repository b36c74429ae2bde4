"""Ranks with a bundle as a server does: newest 100 interactions, one query, all products."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from model_export.dataset import Prepared
from model_export.errors import DataRefused
from model_export.evaluation.cases import HISTORY, Case, Ranking
from model_export.evaluation.metrics import best
from services.shared.bundle import Bundle
from services.shared.content_tower import ContentTower
from services.shared.encoder import Encoder
from services.shared.item_vectors import Floats
from services.shared.model_input import ACTIONS, Known, encode_known
from services.shared.scores import Scorer

NUMBERS_AT_ONCE: Final = 1 << 25
"""Scores that are held at the same time: 128 MB."""
MOST_CASES: Final = 128


class ModelRanker:
    """The model of a bundle; products it has no vector of rank below all others."""

    def __init__(self, data: Prepared, bundle: Bundle) -> None:
        """Raises BundleRefused where the graph does not load.

        DataRefused where the bundle knows none of the data's products, or reads searches that
        the data has no vectors of.
        """
        self._data = data
        self._encoder = Encoder(bundle)
        self._scorer = Scorer(bundle)
        self._length = bundle.settings.max_length
        self._chunk = max(1, min(MOST_CASES, NUMBERS_AT_ONCE // bundle.item_vectors.size))
        positions = {item: i for i, item in enumerate(data.ids.items)}
        items = [positions.get(product, -1) for product in bundle.vocabulary]
        self._items = np.array(items, dtype=np.int64)
        """[n - 1] for each product of the vocabulary its position in the data, -1 if none."""
        self._index = np.zeros(len(data.ids.items) + len(data.ids.queries), dtype=np.int32)
        there = self._items >= 0
        if not there.any():
            raise DataRefused(
                f"{bundle.folder} knows none of the products of {data.source.name}: "
                "name a bundle that was trained on such data, or say --no-bundle"
            )
        self._index[self._items[there]] = np.flatnonzero(there) + 1
        self._reads = np.isin(np.arange(len(ACTIONS)), [ACTIONS[a] for a in bundle.settings.reads])
        self._searched = _searched(data, bundle)
        if self._searched is not None:
            numbers = np.arange(len(data.ids.queries), dtype=np.int32)
            self._index[len(data.ids.items) :] = bundle.item_vectors.size + numbers

    def rank(self, cases: Sequence[Case]) -> Iterator[Ranking]:
        """See :class:`model_export.evaluation.baselines.Ranker`."""
        for start in range(0, len(cases), self._chunk):
            chunk = cases[start : start + self._chunk]
            for case, row in zip(chunk, self.scores(chunk)[:, 1:], strict=True):
                every = self._items[best(row)]
                bought = self._index[case.bought]
                row[bought[bought > 0] - 1] = -np.inf
                yield Ranking(every, self._items[best(row)])

    def known(self, before: slice) -> Known:
        """What a server would know of the interactions ``before``: of the newest those it reads."""
        newest = slice(max(before.start, before.stop - HISTORY), before.stop)
        actions = self._data.actions[newest].astype(np.int64)
        index = self._index[self._data.items[newest]]
        rows = np.flatnonzero((index > 0) & self._reads[actions])
        return Known(index[rows], actions[rows], self._data.at[newest][rows])

    def scores(self, cases: Sequence[Case]) -> Floats:
        """What a server would score all products [B, n], as each case's basket begins.

        Row 0 of the bundle is padding: whatever it has means nothing. All of it is held at once:
        a few cases at a time.
        """
        known = [self.known(case.before) for case in cases]
        inputs = [
            encode_known(*each.newest(self._length), max_length=self._length) for each in known
        ]
        items, actions, gaps = (np.stack(part) for part in zip(*inputs, strict=True))
        queries = self._encoder.encode_batch(items, actions, gaps, searched=self._searched)
        now: NDArray[np.int64] = self._data.at[[case.before.stop for case in cases]]
        return self._scorer.scores_batch(queries, known, now.tolist())


def _searched(data: Prepared, bundle: Bundle) -> Floats | None:
    """The vectors [Q, d] of the data's searches, where the bundle reads any."""
    if "search" not in bundle.settings.reads or bundle.content is None or not data.ids.queries:
        return None
    text = data.content.query_text if data.content else None
    told = data.content.encoder if data.content else ""
    if text is None or told != bundle.content.text_encoder:
        raise DataRefused(
            f"{data.source.name} has no vectors of its searches by {bundle.content.text_encoder}, "
            f"which {bundle.folder} reads: prepare it with that text encoder"
        )
    tower = ContentTower(bundle.tower_path, bundle.content, bundle.settings.dimensions)
    return tower.searched(text.astype(np.float32))
