"""Trains the Transformer on a prepared data set.

The same data, settings and seed give the same parameters on the same machine: a fixed
number of threads, every random number from the seed, no decision by the clock. A running
mean of the parameters (EMA) is judged on the validation part after each epoch, and the
best one is kept.
"""

from __future__ import annotations

import copy
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from model_export.dataset import TRAIN, Prepared
from model_export.errors import DataRefused
from model_export.modelling.transformer import Transformer
from model_export.settings import TrainSettings
from model_export.training.checkpoint import Checkpoint
from model_export.training.sampled_softmax import Negatives, Sampler, sampled_softmax
from model_export.training.sequences import (
    Batch,
    Histories,
    batch_of,
    epoch,
    histories,
    shuffled,
    vocabulary_codes,
)
from model_export.training.validation import Validation

LARGEST_STEP = 5.0
"""Gradients longer than this are shortened to it."""


class Progress(Protocol):
    """Told how training goes."""

    def step(self, done: float, loss: float) -> None:
        """``done`` of all epochs (0 to 1), and the last batch's loss."""
        ...

    def epoch(self, number: int, ndcg: float) -> None:
        """What the epoch, counted from 1, came to on the validation part."""
        ...


class Training:
    """A model on its way: parameters, their running mean, and the sources of chance."""

    def __init__(self, settings: TrainSettings, past: Histories, products: int) -> None:
        torch.manual_seed(settings.seed)
        self.settings = settings
        self.past = past
        self.random = np.random.default_rng(settings.seed)
        self.model = Transformer(settings.architecture(products)).train()
        self.mean = copy.deepcopy(self.model).eval().requires_grad_(False)
        self.steps = 0
        self._optimizer = torch.optim.Adam(
            self.model.parameters(), lr=settings.learning_rate, betas=(0.9, 0.98), fused=True
        )
        self._sampler = Sampler(np.bincount(past.items, minlength=products + 1))

    def epoch(self, number: int, progress: Progress) -> None:
        """See every window once; ``number`` counts from 0."""
        settings = self.settings
        past = shuffled(self.past, self.random)
        groups = epoch(
            past, max_length=settings.max_length, size=settings.batch_size, random=self.random
        )
        for at, group in enumerate(groups):
            batch = batch_of(
                past,
                group,
                max_length=settings.max_length,
                most_targets=settings.most_targets,
                random=self.random,
            )
            if batch is not None:
                done = (number + at / len(groups)) / settings.epochs
                progress.step(done, self._step(batch, done))

    def _step(self, batch: Batch, done: float) -> float:
        settings = self.settings
        self.steps += 1
        warm = min(1.0, self.steps / settings.warm_up)
        for group in self._optimizer.param_groups:
            group["lr"] = settings.learning_rate * warm * (1 - done)
        negatives = self._sampler.draw(settings.negatives, self.random)
        loss = batch_loss(self.model, batch, negatives)
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), LARGEST_STEP)
        self._optimizer.step()
        kept = min(settings.ema, self.steps / (self.steps + 10))
        current = [each.detach() for each in self.model.parameters()]
        torch._foreach_lerp_(list(self.mean.parameters()), current, 1 - kept)
        return loss.item()


def train(
    data: Prepared, settings: TrainSettings, progress: Progress
) -> tuple[Transformer, Checkpoint]:
    """The best model by the validation part. Raises DataRefused where there is too little data.

    Only the training part is learned from. Sets torch's threads and determinism for the
    whole process.
    """
    torch.set_num_threads(settings.threads)
    torch.use_deterministic_algorithms(True)
    known = vocabulary_codes(data, part=TRAIN, least=settings.least_interactions)
    if len(known) < 2:
        raise DataRefused(
            f"{data.source.name}: {len(known)} items have {settings.least_interactions} or more "
            "interactions in the training part; lower --least-interactions or bring more data"
        )
    training = Training(settings, histories(data, known, part=TRAIN), len(known))
    validation = Validation(data, known, settings.max_length)
    best, best_ndcg, best_epoch = training.mean, -1.0, 0
    for number in range(settings.epochs):
        training.epoch(number, progress)
        ndcg = validation.ndcg(training.mean)
        progress.epoch(number + 1, ndcg)
        if ndcg > best_ndcg:
            best, best_ndcg, best_epoch = copy.deepcopy(training.mean), ndcg, number + 1
        if number + 1 - best_epoch >= settings.patience:
            break
    if not training.steps:
        raise DataRefused(
            f"{data.source.name}: no user has two moments with known items to train on"
        )
    checkpoint = Checkpoint(
        architecture=best.shape,
        settings=settings,
        data=data.source,
        epoch=best_epoch,
        validation_ndcg=round(best_ndcg, 6),
        product_ids=[data.ids.items[code] for code in known.tolist()],
    )
    return best, checkpoint


def batch_loss(model: Transformer, batch: Batch, negatives: Negatives) -> Tensor:
    """The mean loss of a batch, each asked position weighing the same."""
    vectors = model.items(batch.items)
    queries = model(vectors, batch.actions, batch.gaps, batch.positions).flatten(0, 1)
    losses = sampled_softmax(queries, model.items.weight, batch.asked, batch.targets, negatives)
    return (losses * batch.weights).sum() / batch.weights.sum()
