"""A small catalogue, for tests of recommending."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from services.recommendations.adapters.model import Model, model_of, prove
from services.recommendations.adapters.search_vectors import TextVectors
from services.recommendations.domain.catalog import Catalog, Listing
from services.shared.model_input import Vocabulary


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
