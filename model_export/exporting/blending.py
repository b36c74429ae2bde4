"""Gives a trained model its blend: item-kNN, first purchases and the repeat table.

What each is, and how their weights are chosen, says :mod:`model_export.training.blend`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from model_export.dataset import HELD_OUT, Prepared, vocabulary_index
from model_export.errors import DataRefused
from model_export.evaluation.cases import HISTORY, Case
from model_export.evaluation.evaluate import Progress, best_window
from model_export.exporting.parts import ModelParts
from model_export.training.blend import Weights, extras, learn_weights
from model_export.training.candidates import Scores, learn_signals
from model_export.training.checkpoint import Checkpoint
from services.shared.item_vectors import Floats
from services.shared.model_input import ACTIONS, SEARCH, encode_known


def blend_weights(
    parts: ModelParts,
    data: Prepared,
    checkpoint: Checkpoint,
    *,
    progress: Progress = lambda _: None,
) -> Weights | None:
    """The weights that do best on the validation part; None where nothing in it can be foretold.

    Raises DataRefused where the model has learned from the validation part.
    """
    if checkpoint.settings.refit:
        raise DataRefused(
            "the model has learned from the validation part (--refit), which cannot tell any more "
            "how to blend it: name its checkpoint without --refit with --blend-of, or say "
            "--no-blend"
        )
    progress("blend: weights")
    index = _index(data, checkpoint)
    return learn_weights(data, index, _scores(parts, data, index), days=best_window(data))


def blended(
    parts: ModelParts,
    data: Prepared,
    checkpoint: Checkpoint,
    weights: Weights,
    *,
    progress: Progress = lambda _: None,
) -> ModelParts:
    """The parts with what was learned from all before the cut, weighed so."""
    progress("blend: neighbours, first purchases, repeats")
    days = best_window(data)
    signals = learn_signals([data], _index(data, checkpoint), before=HELD_OUT, days=days)
    blend, neighbours, repeat = extras(signals, weights)
    return dataclasses.replace(parts, blend=blend, neighbours=neighbours, repeat=repeat)


def _index(data: Prepared, checkpoint: Checkpoint) -> NDArray[np.int64]:
    """[items] the model's row of each item, 0 for what it does not know."""
    codes = np.searchsorted(data.ids.items, checkpoint.product_ids)
    return vocabulary_index(data.ids, codes)[: len(data.ids.items)]


def _scores(parts: ModelParts, data: Prepared, index: NDArray[np.int64]) -> Scores:
    """What the model says of every product; searches, which have no row, are passed over."""
    reads = np.isin(np.arange(len(ACTIONS)), [ACTIONS[name] for name in parts.reads])
    reads[SEARCH] = False

    def scores(cases: Sequence[Case]) -> Floats:
        inputs = []
        for case in cases:
            newest = slice(max(case.before.start, case.before.stop - HISTORY), case.before.stop)
            rows = newest.start + np.flatnonzero(reads[data.actions[newest]])
            rows = rows[index[data.items[rows]] > 0][-parts.max_length :]
            items, actions = index[data.items[rows]], data.actions[rows]
            inputs.append(encode_known(items, actions, data.at[rows], max_length=parts.max_length))
        items, actions, gaps = (np.stack(part) for part in zip(*inputs, strict=True))
        wanted = np.repeat(np.array([parts.wanted], dtype=np.float32), len(cases), axis=0)
        queries = parts.queries(parts.item_vectors[items], actions, gaps, wanted)
        found: Floats = queries @ parts.item_vectors.T
        return found

    return scores
