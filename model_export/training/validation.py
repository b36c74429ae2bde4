"""How well a model in training foretells the validation part."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from model_export.dataset import VALIDATION, Interactions, Source
from model_export.errors import DataRefused
from model_export.evaluation.cases import HISTORY, cases_of
from model_export.evaluation.metrics import TOP, ndcg
from model_export.modelling.model import Model
from model_export.settings import TrainSettings
from model_export.training.catalogue import Catalogue
from services.shared.model_input import PURCHASE, TARGETS, encode_known

CHUNK: Final = 256
MOST_CASES: Final = 10_000
"""More would take longer than an epoch and say no more."""


class Validation:
    """The validation baskets, encoded once."""

    def __init__(
        self,
        shards: Sequence[Interactions],
        index: NDArray[np.int64],
        settings: TrainSettings,
        *,
        part: int = VALIDATION,
    ) -> None:
        """``index`` has the model's row for each code, 0 for what it does not know.

        A bench asks for the held-out ``part`` once the model is chosen.
        """
        inputs, self._relevant, self._had = [], [], []
        for shard in shards:
            cases = cases_of(shard, part)
            step = max(1, -(-len(cases) * len(shards) // MOST_CASES))
            for case in cases[::step]:
                newest = slice(max(case.before.start, case.before.stop - HISTORY), case.before.stop)
                items = index[shard.items[newest]]
                rows = np.flatnonzero(items)[-settings.max_length :]
                actions, at = shard.actions[newest][rows], shard.at[newest][rows]
                inputs.append(
                    encode_known(items[rows], actions, at, max_length=settings.max_length)
                )
                # A product without a vector can only be missed: it keeps an index of its own.
                relevant = case.relevant if settings.recall else case.new
                self._relevant.append(np.where(index[relevant], index[relevant], -1))
                self._had.append(index[case.bought] if not settings.recall else case.bought[:0])
        self._inputs = [
            torch.from_numpy(np.stack(part)).long() for part in zip(*inputs, strict=True)
        ]
        self._wanted = torch.tensor([[float(each == PURCHASE) for each in TARGETS]])

    def __len__(self) -> int:
        """How many baskets a model is judged by."""
        return len(self._relevant)

    @torch.no_grad()
    def ndcg(self, model: Model) -> float:
        """The mean NDCG@10 over the baskets; 0 where there are none."""
        device = next(model.parameters()).device
        table = model.items.vectors()
        gains: list[float] = []
        for start in range(0, len(self._relevant), CHUNK):
            chunk = slice(start, start + CHUNK)
            items, actions, gaps = (part[chunk].to(device) for part in self._inputs)
            wanted = self._wanted.to(device).expand(len(items), -1)
            scores = model(model.items(items), actions, gaps, wanted) @ table.T
            scores[:, 0] = -torch.inf
            for row, had in enumerate(self._had[chunk]):
                scores[row, had] = -torch.inf
            best = scores.topk(min(TOP, scores.shape[1] - 1)).indices.cpu().numpy()
            gains.extend(
                ndcg(row, each)
                for row, each in zip(best, self._relevant[chunk], strict=True)
                if len(each)
            )
        return float(np.mean(gains)) if gains else 0.0


def validation_of(
    shards: Sequence[Interactions], known: Catalogue, settings: TrainSettings, source: Source
) -> Validation:
    """The validation part of ``shards``. Raises DataRefused where no purchase is in it."""
    found = Validation(shards, known.index, settings)
    if len(found):
        return found
    if not source.actions.get("purchase", 1):
        advice = "where the input has purchases, its event_type must say so"
    elif source.validation_from:
        advice = "prepare it again with more --validation-days"
    else:
        advice = "prepare it again with --split time, or leave out what is no purchase"
    raise DataRefused(
        f"{source.name}: nothing in the validation part is a purchase by somebody who was seen "
        f"before, so nothing tells which epoch is the best; {advice}"
    )
