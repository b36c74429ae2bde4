"""Measures how good a model gets with 10, 25, 50 and 100 % of the data.

Users are put into a random order, once; a share is the first of them, so each share holds
the smaller ones. Of the others the training part is not learned from. What is validated and
held out stays the same: all users' baskets, each foretold from all that its user did before.
So the curve says what more shoppers to learn from would bring. Each model is blended and
exported as any other, and judged as it would be served; none learns from the validation part.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from model_export.dataset import TRAIN, About, Interactions, Prepared, Sharded
from model_export.errors import DataRefused
from model_export.evaluation.cases import Case, Ranking
from model_export.evaluation.evaluate import held_out, rows_of
from model_export.evaluation.learning_curve import SHARES, LearningCurve, Point
from model_export.evaluation.model_ranker import ModelRanker
from model_export.evaluation.segments import nothing_again, whole
from model_export.exporting.blending import blend_weights, blended
from model_export.exporting.export import write_bundle
from model_export.exporting.parts import parts_of
from model_export.modelling.model import Model
from model_export.settings import DERIVED, TrainSettings, train_settings
from model_export.training.checkpoint import Checkpoint
from model_export.training.processes import Processes
from model_export.training.rules import derived
from model_export.training.statistics import statistics
from model_export.training.train import train
from model_export.training.watching import Progress

LEFT_OUT: Final = 3
"""A part beyond those of a data set: interactions that are not learned from."""

Trained = tuple[Model, Checkpoint]
Done = Callable[[LearningCurve], object]
"""Told the curve as far as it is measured, after each point."""


class Subset(Sharded):
    """Shards in which only ``chosen`` users' training parts are there to be learned from."""

    def __init__(self, shards: Sequence[Interactions], chosen: NDArray[np.bool_]) -> None:
        self._shards = shards
        self._chosen = chosen

    def __len__(self) -> int:
        return len(self._shards)

    def shard(self, index: int) -> Interactions:
        """See :class:`model_export.dataset.Sharded`."""
        shard = self._shards[index]
        return Interactions(
            shard.users,
            shard.items,
            shard.at,
            shard.actions,
            without(shard, self._chosen),
            shard.sessions,
        )


def without(data: Interactions, chosen: NDArray[np.bool_]) -> NDArray[np.int8]:
    """[N] the parts, with those of users that are not ``chosen`` left out of the training part."""
    left_out = (data.parts == TRAIN) & ~chosen[data.users]
    return np.where(left_out, LEFT_OUT, data.parts).astype(np.int8)


def measure(
    data: Prepared,
    shards: Sequence[Interactions],
    trained: Trained,
    *,
    shares: Sequence[float] = SHARES,
    seed: int = 1,
    known: LearningCurve | None = None,
    progress: Progress,
    processes: Processes,
    done: Done = lambda _: None,
) -> LearningCurve:
    """The curve of ``trained``'s settings; points that ``known`` has are not measured again.

    What was derived from the data for ``trained`` is derived from each share anew. Raises
    DataRefused where a share is too small to train on.
    """
    checkpoint = trained[1]
    if checkpoint.data != data.source:
        raise DataRefused(f"the checkpoint was trained on other data than {data.source.name}")
    cases = held_out(data)
    order = np.random.default_rng(seed).permutation(len(data.ids.users))
    curve = LearningCurve(
        data=data.source.name,
        source=data.source,
        settings=checkpoint.settings,
        seed=seed,
        cases=len(cases),
        users=len({case.user for case in cases}),
        points=[],
    )
    before = {point.share: point for point in _of(known, curve)}
    for share in sorted(set(shares)):
        if share not in before:
            chosen = order < np.ceil(share * len(order))
            part = Subset(shards, chosen)
            found, seconds = trained, 0.0
            if share < 1 or checkpoint.settings.refit:
                settings = settings_of_share(data.about, shards, part, checkpoint.settings)
                start = time.monotonic()
                found = train(data.about, part, settings, progress=progress, processes=processes)
                seconds = time.monotonic() - start
            seen = replace(data, parts=without(data, chosen))
            before[share] = _point(share, seconds, seen, part, found)
        curve = msgspec.structs.replace(curve, points=[*curve.points, before[share]])
        done(curve)
    return curve


def settings_of_share(
    about: About,
    shards: Sequence[Interactions],
    part: Sequence[Interactions],
    settings: TrainSettings,
) -> TrainSettings:
    """The settings that the rules give a share of the data; what was told stays as it was.

    A setting that is what the rules say of all the data was not told.
    """
    whole_data, _ = statistics(shards, about.ids, about.content)
    share, _ = statistics(part, about.ids, about.content)
    rules, told = derived(whole_data), msgspec.structs.asdict(settings)
    kept: Mapping[str, Any] = {
        name: value for name, value in told.items() if name not in DERIVED or value != rules[name]
    }
    return train_settings({**derived(share), **kept, "refit": False})


def _of(known: LearningCurve | None, curve: LearningCurve) -> list[Point]:
    """The points that are of the same data, settings and order of users."""
    if known is None:
        return []
    return known.points if msgspec.structs.replace(known, points=[]) == curve else []


def _point(share: float, seconds: float, data: Prepared, part: Subset, found: Trained) -> Point:
    """``data`` is as this share sees it."""
    cases = held_out(data)
    rows = rows_of("model", whole(cases), cases, _rankings(data, cases, found))
    asked = "new" if nothing_again(cases) else "all"
    learned, _ = statistics(part, data.ids, data.content)
    return Point(
        share=share,
        users=learned.users,
        interactions=learned.interactions,
        products=len(found[1].product_ids),
        epoch=found[1].epoch,
        seconds=round(seconds, 1),
        ndcg=next(row.ndcg for row in rows if row.purchases == asked),
        rows=rows,
    )


def _rankings(data: Prepared, cases: Sequence[Case], found: Trained) -> list[Ranking]:
    """What a server would show with a bundle of the model, blended as ``export`` does."""
    model, checkpoint = found
    parts = parts_of(model, data)
    weights = blend_weights(parts, data, checkpoint)
    if weights is not None:
        parts = blended(parts, data, checkpoint, weights)
    with tempfile.TemporaryDirectory() as folder:
        bundle = write_bundle(data, parts, checkpoint, Path(folder))
        return list(ModelRanker(data, bundle).rank(cases))
