"""What export needs of a trained model, whichever network it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from model_export.dataset import TRAIN, Prepared
from model_export.exporting import graph
from model_export.modelling.item_table import CodedItems
from model_export.modelling.model import Model
from services.shared.bundle_settings import Blend
from services.shared.content_tower import ContentSettings
from services.shared.golden import Placed
from services.shared.item_vectors import Floats
from services.shared.model_input import IMPRESSION, SEARCH, TARGET_NAMES
from services.shared.neighbours import Neighbours
from services.shared.product_codes import CodedVectors
from services.shared.repeat import RepeatTable

Queries = Callable[[Floats, NDArray[np.int64], NDArray[np.int64], Floats], Floats]
"""(vectors [B,L,d], actions [B,L], gaps [B,L], wanted [B,A]) → queries [B,d]."""

PLACED: Final = 32
"""Products that the content tower is held to."""


@dataclass(frozen=True, slots=True)
class Tower:
    """The content tower."""

    graph: Callable[[], bytes]
    """Makes it as ONNX, which takes seconds."""
    content: ContentSettings
    golden: Placed
    """Some products, and where the network itself puts them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelParts:
    """A trained model, taken apart."""

    item_vectors: Floats
    """[n, d], row 0 zeros, in the order of the checkpoint's products."""
    codes: CodedVectors | None = None
    """The same vectors, where the model has learned them as codes."""
    graph: Callable[[], bytes]
    """Makes the encoder as ONNX, which takes seconds."""
    queries: Queries
    """What the network itself computes; the graph is held to it."""
    max_length: int
    wanted: tuple[float, ...] = (0.0, 0.0, 0.0, 1.0)
    """How much each of ``model_input.TARGETS`` counts where nothing else is asked for."""
    reads: tuple[str, ...] = TARGET_NAMES
    blend: Blend = field(default_factory=Blend)
    neighbours: Neighbours | None = None
    repeat: RepeatTable | None = None
    tower: Tower | None = None


def parts_of(model: Model, data: Prepared) -> ModelParts:
    """The parts of a model that was trained on ``data``, without a blend."""
    model.eval().requires_grad_(False)
    tower = _tower(model, data)
    return ModelParts(
        item_vectors=model.items.vectors().numpy(),
        codes=_codes(model),
        graph=partial(graph.encoder_bytes, model),
        queries=partial(_queries, model),
        max_length=model.shape.max_length,
        reads=_reads(data, searches=tower is not None and bool(tower.content.text_encoder)),
        tower=tower,
    )


def _codes(model: Model) -> CodedVectors | None:
    items = model.items
    if not isinstance(items, CodedItems):
        return None
    return CodedVectors(items.codes.numpy(), items.books.numpy())


def _queries(
    model: Model,
    vectors: Floats,
    actions: NDArray[np.int64],
    gaps: NDArray[np.int64],
    wanted: Floats,
) -> Floats:
    found: Floats = model(*map(torch.from_numpy, (vectors, actions, gaps, wanted))).numpy()
    return found


def _reads(data: Prepared, *, searches: bool) -> tuple[str, ...]:
    """What a shopper does with products, and what else the training part has.

    Searches only where their words have vectors.
    """
    seen = set(np.unique(data.actions[data.parts == TRAIN]).tolist())
    more = {"search": SEARCH in seen and searches, "impression": IMPRESSION in seen}
    return (*TARGET_NAMES, *(name for name, is_read in more.items() if is_read))


def _tower(model: Model, data: Prepared) -> Tower | None:
    table, content = model.items, data.content
    if table.tower is None or content is None:
        return None
    most = max(1, table.features.shape[1])
    rows = np.unique(np.linspace(1, table.products, PLACED).astype(np.int64))
    features = np.zeros((len(rows), most), dtype=np.int64)
    features[:, : table.features.shape[1]] = table.features[rows].numpy()
    text = table.text[rows].float().numpy()
    vectors = graph.Placing(table.tower)(torch.from_numpy(features), torch.from_numpy(text))
    return Tower(
        graph=partial(graph.tower_bytes, table.tower, most_features=most),
        content=ContentSettings(
            names=tuple(content.names),
            most_features=most,
            text_dimensions=text.shape[1],
            text_encoder=content.encoder if text.shape[1] else "",
            price_bounds=content.price_bounds,
        ),
        golden=Placed(features, text, vectors.numpy()),
    )
