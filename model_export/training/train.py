"""Trains a model on a prepared data set.

The same data, settings and seed give the same parameters on the same processor: a fixed
number of threads, every random number from the seed and the place in the training, no
decision by the clock. So a training that was killed and goes on from its last state ends
as one that was not. A running mean of the parameters (EMA) is judged on the validation
part after each epoch, and the best one is kept.
"""

from __future__ import annotations

import copy
import os
import platform
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import scipy
import torch

from model_export.dataset import TRAIN, VALIDATION, About, Interactions
from model_export.errors import DataRefused
from model_export.modelling.model import Model
from model_export.settings import TrainSettings
from model_export.training.catalogue import Catalogue, catalogue
from model_export.training.checkpoint import Checkpoint, Coded, Epoch
from model_export.training.coding import learning_on
from model_export.training.initial import co_occurrence_vectors
from model_export.training.processes import Processes
from model_export.training.state import EVERY, Place, Saver
from model_export.training.statistics import statistics
from model_export.training.steps import Training
from model_export.training.validation import validation_of
from model_export.training.watching import Judge, Progress, Rest


def train(
    about: About,
    shards: Sequence[Interactions],
    settings: TrainSettings,
    *,
    progress: Progress,
    processes: Processes,
    folder: Path | None = None,
    save_every: float = EVERY,
    judge_of: Callable[[Catalogue], Judge] | None = None,
) -> tuple[Model, Checkpoint]:
    """The best model by the validation part. Raises DataRefused where there is too little data.

    Only the training part is learned from; the validation part must hold a purchase. With a
    ``folder`` the state is kept there while it lasts, each epoch and after ``save_every`` seconds,
    and a training of the same data and settings goes on from it. ``judge_of`` stands in for
    :class:`Validation`. Sets torch's threads and determinism for the whole process.
    """
    _set_up(settings, processes)
    progress.begin("training")
    source = about.source
    known, training = _begin(about, shards, settings, processes, part=TRAIN)
    judge = judge_of(known) if judge_of else validation_of(shards, known, settings, source)
    saver = partial(Saver, folder, settings, source, processes, every=save_every)
    best, place = search(training, shards, judge, progress, saver())
    if not place.step:
        raise DataRefused(f"{source.name}: no user has two moments with known items to train on")
    as_codes, epochs = None, [place.best_epoch]
    if len(known.known) > settings.codes_above:
        progress.begin("as codes")
        coded = learning_on(training, best, progress)
        best, then = search(coded, shards, judge, progress, saver(name="codes"))
        as_codes = Coded(coded.before + then.best_epoch, round(then.best_ndcg, 6), then.curve)
        epochs.append(then.best_epoch)
    if settings.refit:
        best, known = refit(
            about, shards, settings, epochs, progress, processes, folder, save_every
        )
    return best, Checkpoint(
        architecture=best.shape,
        settings=settings,
        data=source,
        epoch=place.best_epoch,
        validation_ndcg=round(place.best_ndcg, 6),
        curve=place.curve,
        versions=versions(),
        product_ids=[about.ids.items[code] for code in known.known.tolist()],
        without_id=(torch.nonzero(~known.has_id[1 : len(known.known) + 1])[:, 0] + 1).tolist(),
        as_codes=as_codes,
    )


def _begin(
    about: About,
    shards: Sequence[Interactions],
    settings: TrainSettings,
    processes: Processes,
    *,
    part: int,
) -> tuple[Catalogue, Training]:
    """A training of the parts up to ``part`` that has not begun, and the products it knows."""
    ids, source, content = about
    _, counts = statistics(shards, ids, content, part=part)
    known = catalogue(ids, content, counts, least=settings.least_interactions, name=source.name)
    start = co_occurrence_vectors(
        shards,
        known.index,
        part=part,
        products=len(known.known),
        dimensions=settings.dimensions,
        seed=settings.seed,
    )
    torch.manual_seed(settings.seed)
    shape = settings.shape(
        products=len(known.known), features=known.feature_names, text=known.text.shape[1]
    )
    model = Model(shape, known.has_id, known.features, known.text)
    training = Training(settings, model, known, counts, processes, part=part)
    training.start_from(start)
    return known, training


def search(
    training: Training,
    shards: Sequence[Interactions],
    validation: Judge,
    progress: Progress,
    saver: Saver,
) -> tuple[Model, Place]:
    """Train until nothing better comes; the best model, and how it went."""
    best = saver.restore(training)
    while not training.place.is_over(training.settings):
        _epoch(training, shards, progress, partial(saver.save_if_due, training, best))
        best = _judge(training, validation, best, progress)
        saver.save(training, best)
    return best, training.place


def refit(
    about: About,
    shards: Sequence[Interactions],
    settings: TrainSettings,
    epochs: Sequence[int],
    progress: Progress,
    processes: Processes,
    folder: Path | None = None,
    save_every: float = EVERY,
) -> tuple[Model, Catalogue]:
    """A model that learned so many epochs, as they went before, from the validation part too.

    Where ``epochs`` has a second number, it learned on so long as codes.
    """
    progress.begin("training again")
    known, training = _begin(about, shards, settings, processes, part=VALIDATION)
    saver = partial(Saver, folder, settings, about.source, processes, every=save_every)
    _repeat(training, epochs[0], shards, progress, saver(name="refit"))
    for more in epochs[1:]:
        progress.begin("as codes again")
        training = learning_on(training, training.mean, progress)
        _repeat(training, more, shards, progress, saver(name="refit-codes"))
    return training.mean, known


def _repeat(
    training: Training,
    epochs: int,
    shards: Sequence[Interactions],
    progress: Progress,
    saver: Saver,
) -> None:
    """Train for so many epochs, judged by nobody."""
    saver.restore(training)
    training.until = epochs
    while training.place.epoch < epochs:
        mean = training.mean
        _epoch(training, shards, progress, partial(saver.save_if_due, training, mean))
        saver.save(training, mean)


def versions() -> dict[str, str]:
    """What computed: results are the same where these and the processor are."""
    return {
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "numpy": np.__version__,
        "scipy": scipy.__version__,
    }


def _set_up(settings: TrainSettings, processes: Processes) -> None:
    torch.set_num_threads(settings.threads)
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=processes.device.type == "cuda")


def _epoch(
    training: Training, shards: Sequence[Interactions], progress: Progress, rest: Rest
) -> None:
    """What is left of one epoch; the shards come in another order each time."""
    place = training.place
    order = np.random.default_rng([training.settings.seed, 0, place.epoch])
    shuffled_shards = order.permutation(len(shards)).tolist()
    for number in range(place.shard, len(shards)):
        training.shard(shards[shuffled_shards[number]], number, len(shards), progress, rest)
        place.shard, place.batch = number + 1, 0
    place.epoch, place.shard = place.epoch + 1, 0


def _judge(training: Training, validation: Judge, best: Model, progress: Progress) -> Model:
    place = training.place
    ndcg = validation.ndcg(training.mean) if training.processes.first else 0.0
    ndcg = training.processes.from_first(ndcg)
    loss = place.losses / max(1, place.losses_of)
    number = training.before + place.epoch
    place.curve.append(Epoch(number, round(loss, 6), round(ndcg, 6)))
    place.losses, place.losses_of = 0.0, 0
    progress.epoch(number, loss, ndcg)
    if ndcg <= place.best_ndcg:
        return best
    place.best_ndcg, place.best_epoch = ndcg, place.epoch
    return copy.deepcopy(training.mean)
