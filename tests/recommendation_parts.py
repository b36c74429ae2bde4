"""A small catalogue, for tests of recommending."""

from __future__ import annotations

from collections.abc import Mapping

from services.recommendations.domain.catalog import Catalog, Listing
from services.shared.model_input import Vocabulary


def listing(title: str, *path: str, merchant: str = "acme") -> Listing:
    """A product as the catalogue keeps it."""
    return Listing(title, path, merchant)


def catalog_of(learned: Mapping[str, Listing], new: Mapping[str, Listing] | None = None) -> Catalog:
    """A catalogue of products the model has learned, in this order, and of ``new`` ones."""
    catalog = Catalog(Vocabulary(list(learned)))
    for product_id, each in {**learned, **(new or {})}.items():
        catalog.put_product(product_id, each)
    return catalog
