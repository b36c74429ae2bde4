"""From a trained model to one whose products have codes, and on with its learning.

Clustering finished vectors loses what it cannot tell apart (:mod:`.quantize`). So the centroids go
on learning with encoder and head, codes held, for some epochs at a lower rate: they move to where
the products that share them are told apart best by what shoppers did next (RecJPQ; Petrov and
Macdonald, "Efficient Inference of Sub-Item Id-based Sequential Recommendation Models with Millions
of Items", 2024, train embeddings of fixed codes from the start).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

from model_export.modelling.model import Model
from model_export.training.quantize import bytes_for, codebooks
from model_export.training.steps import Training
from model_export.training.watching import Progress
from services.shared.product_codes import encode

EPOCHS: Final = 8
RATE: Final = 1 / 6
"""Of the learning rate that the model began with."""
IDS: Final = "items.ids.weight"
"""What codes stand in for."""


def coded(
    model: Model,
    interactions: NDArray[np.integer],
    *,
    seed: int,
    stage: Callable[[str], None] = lambda _: None,
) -> Model:
    """The same model, each product's vector told by a code; ``interactions`` [n] weigh them."""
    items = model.items
    shape = msgspec.structs.replace(model.shape, codes=bytes_for(model.shape.dimensions))
    table = items.vectors().cpu().numpy()
    books = codebooks(table[1:], interactions, shape.codes, seed=seed, progress=stage)
    stage("product codes: nearest sums")
    kept = {name: each for name, each in model.state_dict().items() if name != IDS}
    kept["items.books"] = torch.from_numpy(books)
    kept["items.codes"] = torch.from_numpy(encode(table, books))
    found = Model(shape, items.has_id, items.features, items.text)
    found.load_state_dict(kept)
    return found


def learning_on(training: Training, model: Model, progress: Progress) -> Training:
    """A training of ``model`` as codes, on what ``training`` learned from."""
    settings = training.settings
    counts = training.counts[training.known.known]
    return Training(
        msgspec.structs.replace(
            settings, epochs=EPOCHS, patience=EPOCHS, learning_rate=RATE * settings.learning_rate
        ),
        coded(model, counts, seed=settings.seed, stage=progress.stage),
        training.known,
        training.counts,
        training.processes,
        part=training.part,
        before=training.place.epoch,
    )
