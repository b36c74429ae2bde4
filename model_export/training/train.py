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
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import Tensor

from model_export.dataset import TRAIN, VALIDATION, About, Interactions
from model_export.errors import DataRefused
from model_export.modelling.model import Model
from model_export.settings import TrainSettings
from model_export.training.catalogue import Catalogue, catalogue
from model_export.training.checkpoint import Checkpoint, Epoch
from model_export.training.initial import co_occurrence_vectors
from model_export.training.processes import Processes
from model_export.training.sampled_softmax import Negatives, Sampler, sampled_softmax
from model_export.training.sequences import Batch, batch_of, histories, packed, shuffled, windows
from model_export.training.state import EVERY, Place, Saver
from model_export.training.statistics import statistics
from model_export.training.validation import Validation
from model_export.training.watching import Judge, Progress, Rest

LARGEST_STEP: Final = 5.0
"""Gradients longer than this are shortened to it."""
NOISE: Final = 0.3
"""Length of the random part of a first item vector beside the 1 of its known part."""


class Training:
    """A model on its way: parameters, their running mean, and where in the data it is."""

    def __init__(
        self,
        settings: TrainSettings,
        known: Catalogue,
        counts: np.ndarray,
        processes: Processes,
        *,
        part: int,
    ) -> None:
        """Learn from the parts up to ``part``; ``counts`` [items] are of the training part."""
        torch.manual_seed(settings.seed)
        self.settings = settings
        self.processes = processes
        shape = settings.shape(
            products=len(known.known), features=known.feature_names, text=known.text.shape[1]
        )
        model = Model(shape, known.has_id, known.features, known.text)
        self.model = model.to(processes.device).train()
        self.mean = copy.deepcopy(self.model).eval().requires_grad_(False)
        self.place = Place()
        self._part = part
        self.optimizer = torch.optim.Adam(
            self.model.parameters(), lr=settings.learning_rate, betas=(0.9, 0.98), fused=True
        )
        self._index = known.index
        self._sampler = Sampler(np.concatenate([[0], counts[known.known]]))

    def start_from(self, vectors: np.ndarray) -> None:
        """Begin with item vectors [n + 1, d] that are known already."""
        first = torch.from_numpy(vectors).to(self.processes.device)
        for model in (self.model, self.mean):
            with torch.no_grad():
                model.items.ids.weight.mul_(NOISE).add_(first)

    def shard(
        self, shard: Interactions, number: int, of: int, progress: Progress, rest: Rest
    ) -> None:
        """Learn from what is left of one shard, the ``number``-th ``of`` this epoch."""
        settings, place = self.settings, self.place
        random = np.random.default_rng([settings.seed, 1, place.epoch, number])
        past = shuffled(histories(shard, self._index, part=self._part), random)
        found = windows(past, max_length=settings.max_length, random=random)
        rows = packed(past, found, max_length=settings.max_length, random=random)
        size = settings.batch_rows
        batches = -(-len(rows.items) // size)
        for number_in_shard in range(place.batch, batches):
            first = number_in_shard * size
            stop = min(first + size, len(rows.items))
            low, high = self.processes.share(stop - first)
            batch = batch_of(
                past, rows, first + low, first + high, most_targets=settings.most_targets
            )
            done = (place.epoch + (number + number_in_shard / batches) / of) / settings.epochs
            progress.step(done, self._step(batch, done))
            place.batch = number_in_shard + 1
            rest()

    def _step(self, batch: Batch, done: float) -> float:
        settings, place, device = self.settings, self.place, self.processes.device
        weight = self.processes.sum(batch.weights.sum().to(device))
        if not weight:
            return 0.0
        place.step += 1
        rate = settings.learning_rate * min(1.0, place.step / settings.warm_up) * (1 - done)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        random = np.random.default_rng([settings.seed, 2, place.step])
        negatives = self._sampler.negatives(settings.negatives, random).to(device)
        torch.manual_seed(int(random.integers(2**62)) + self.processes.rank)
        self.optimizer.zero_grad()
        loss = torch.zeros((), device=device)
        if len(batch.targets):  # a process may have no share of a small batch
            with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
                loss = batch_loss(self.model, batch.to(device), negatives) / weight
            loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        self.processes.sum_gradients(self.model.parameters())
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), LARGEST_STEP, foreach=True)
        self.optimizer.step()
        kept = min(settings.ema, place.step / (place.step + 10))
        current = [each.detach() for each in self.model.parameters()]
        torch._foreach_lerp_(list(self.mean.parameters()), current, 1 - kept)
        whole = float(self.processes.sum(loss.detach()))
        place.losses += whole
        place.losses_of += 1
        return whole


def batch_loss(model: Model, batch: Batch, negatives: Negatives) -> Tensor:
    """The summed loss of a batch, each asked place weighing 1; 0 where nothing is asked."""
    vectors = model.items(batch.items)
    states = model.states(vectors, batch.actions, batch.gaps, batch.segments, batch.places)
    asked = states.flatten(0, 1)[batch.states]
    queries = model.head(asked).float()
    chosen = queries.gather(1, batch.wanted.view(-1, 1, 1).expand(-1, 1, queries.shape[-1]))[:, 0]
    losses = sampled_softmax(
        chosen,
        model.items(negatives.items).float(),
        model.items(batch.targets).float(),
        batch.asked,
        batch.targets,
        negatives,
    )
    return (losses * batch.weights).sum()


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

    Only the training part is learned from. With a ``folder`` the state is kept there while
    it lasts, each epoch and after ``save_every`` seconds, and a training of the same data and
    settings goes on from it. ``judge_of`` stands in for :class:`Validation`. Sets torch's
    threads and determinism for the whole process.
    """
    _set_up(settings, processes)
    source = about.source
    known, training = _begin(about, shards, settings, processes, part=TRAIN)
    validation = judge_of(known) if judge_of else Validation(shards, known.index, settings)
    saver = Saver(folder, settings, source, processes, every=save_every)
    best, place = _search(training, shards, validation, progress, saver)
    if not place.step:
        raise DataRefused(f"{source.name}: no user has two moments with known items to train on")
    if settings.refit:
        best, known = refit(
            about, shards, settings, place.best_epoch, progress, processes, folder, save_every
        )
    return best, Checkpoint(
        architecture=best.shape,
        settings=settings,
        data=source,
        epoch=place.best_epoch,
        validation_ndcg=round(place.best_ndcg, 6),
        curve=list(place.curve),
        versions=versions(),
        product_ids=[about.ids.items[code] for code in known.known.tolist()],
        without_id=(torch.nonzero(~known.has_id[1 : len(known.known) + 1])[:, 0] + 1).tolist(),
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
    training = Training(settings, known, counts, processes, part=part)
    training.start_from(start)
    return known, training


def _search(
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
    epochs: int,
    progress: Progress,
    processes: Processes,
    folder: Path | None = None,
    save_every: float = EVERY,
) -> tuple[Model, Catalogue]:
    """A model that learned so many epochs, as they went before, from the validation part too."""
    known, training = _begin(about, shards, settings, processes, part=VALIDATION)
    saver = Saver(folder, settings, about.source, processes, every=save_every, name="refit")
    saver.restore(training)
    while training.place.epoch < epochs:
        mean = training.mean
        _epoch(training, shards, progress, partial(saver.save_if_due, training, mean))
        saver.save(training, mean)
    return training.mean, known


def versions() -> dict[str, str]:
    """What computed: results are the same where these and the processor are."""
    return {"torch": str(torch.__version__), "numpy": np.__version__}


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
    place.curve.append(Epoch(place.epoch, round(loss, 6), round(ndcg, 6)))
    place.losses, place.losses_of = 0.0, 0
    progress.epoch(place.epoch, loss, ndcg)
    if ndcg <= place.best_ndcg:
        return best
    place.best_ndcg, place.best_epoch = ndcg, place.epoch
    return copy.deepcopy(training.mean)
