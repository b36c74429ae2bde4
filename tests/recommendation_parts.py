"""A small catalogue and a model of a few products, for tests of recommending."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from services.recommendations.adapters.model import Model, model_of, prove
from services.recommendations.adapters.search_vectors import TextVectors
from services.recommendations.domain.catalog import Catalog, Listing
from services.recommendations.domain.learned import Learned
from services.recommendations.domain.reasons import History
from services.shared.item_vectors import FullVectors
from services.shared.model_input import Interaction, Vocabulary


def loaded(
    folder: Path, text_vectors_of: Callable[[str], TextVectors] | None = None
) -> tuple[Model, Vocabulary]:
    """The model of a bundle in the bundle's own rows, and its products."""
    proven = prove(folder, text_vectors_of)
    return model_of(proven, proven.bundle.vocabulary), proven.bundle.vocabulary


def listing(title: str, *path: str, merchant: str = "acme") -> Listing:
    """A product as the catalogue keeps it."""
    return Listing(title, path, merchant)


def catalog_of(learned: Mapping[str, Listing], new: Mapping[str, Listing] | None = None) -> Catalog:
    """A catalogue of products the model has learned, in this order, and of ``new`` ones."""
    catalog = Catalog(Vocabulary(list(learned)))
    for product_id, each in {**learned, **(new or {})}.items():
        catalog.put_product(product_id, each)
    return catalog


def items_of(vectors: Sequence[Sequence[float]], popularity: Sequence[int] = ()) -> Learned:
    """What the model knows of the products of a vocabulary, in its order."""
    table = np.array([[0.0] * len(vectors[0]), *vectors], dtype=np.float32)
    counts = [0, *popularity] if popularity else [0] * len(table)
    return Learned(FullVectors(table), np.array(counts, dtype=np.int32))


def history_of(catalog: Catalog, items: Learned, *events: tuple[int, str, int]) -> History:
    """What the model has read: (at, product id, action), oldest first."""
    found = [Interaction(*event) for event in events]
    rows = np.array([catalog.row(each.product_id) or 0 for each in found], dtype=np.int64)
    return History(found, items.vectors.directions(rows))
