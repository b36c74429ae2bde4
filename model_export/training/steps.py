"""One model on its way: its parameters, their running mean, and one step after the other."""

from __future__ import annotations

import copy
from typing import Final

import numpy as np
import torch
from torch import Tensor

from model_export.dataset import Interactions
from model_export.modelling.model import Model
from model_export.settings import TrainSettings
from model_export.training.catalogue import Catalogue
from model_export.training.processes import Processes
from model_export.training.sampled_softmax import Negatives, Sampler, sampled_softmax
from model_export.training.sequences import Batch, batch_of, histories, packed, shuffled, windows
from model_export.training.state import Place
from model_export.training.watching import Progress, Rest

LARGEST_STEP: Final = 5.0
"""Gradients longer than this are shortened to it."""
NOISE: Final = 0.3
"""Length of the random part of a first item vector beside the 1 of its known part."""


class Training:
    """A model on its way: parameters, their running mean, and where in the data it is."""

    def __init__(
        self,
        settings: TrainSettings,
        model: Model,
        known: Catalogue,
        counts: np.ndarray,
        processes: Processes,
        *,
        part: int,
        before: int = 0,
    ) -> None:
        """Learn from the parts up to ``part``; ``counts`` [items] are of the training part.

        The model has seen so many epochs ``before``, as another kind of model.
        """
        self.settings = settings
        self.processes = processes
        self.model = model.to(processes.device).train().requires_grad_(True)
        self.mean = copy.deepcopy(self.model).eval().requires_grad_(False)
        self.place = Place()
        self.known, self.counts, self.part = known, counts, part
        self.before = before
        self.until = settings.epochs
        """At the latest it ends with this epoch; the learning rate falls over the settings'."""
        self.optimizer = torch.optim.Adam(
            self.model.parameters(), lr=settings.learning_rate, betas=(0.9, 0.98), fused=True
        )
        self._sampler = Sampler(np.concatenate([[0], counts[known.known]]))

    def start_from(self, vectors: np.ndarray) -> None:
        """Begin with item vectors [n + 1, d] that are known already."""
        first = torch.from_numpy(vectors).to(self.processes.device)
        for model in (self.model, self.mean):
            with torch.no_grad():
                model.get_parameter("items.ids.weight").mul_(NOISE).add_(first)

    def shard(
        self, shard: Interactions, number: int, of: int, progress: Progress, rest: Rest
    ) -> None:
        """Learn from what is left of one shard, the ``number``-th ``of`` this epoch."""
        settings, place = self.settings, self.place
        random = np.random.default_rng([settings.seed, 1, place.epoch, number])
        past = shuffled(histories(shard, self.known.index, part=self.part), random)
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
            seen = place.epoch + (number + number_in_shard / batches) / of
            progress.step(seen / self.until, self._step(batch, seen / settings.epochs))
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
