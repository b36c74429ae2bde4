"""The catalogues of all shops of one server."""

from __future__ import annotations

from services.recommendations.domain.catalog import Catalog
from services.recommendations.domain.placed import Placed
from services.shared.model_input import Vocabulary


class Catalogs:
    """One catalogue for each shop that has sent a record; any other shop's is empty.

    All share the model's vocabulary: a bundle is trained on one shop's product ids, so a
    product id of another shop means the model's product only if the two shops agree on it.
    """

    def __init__(self, vocabulary: Vocabulary, dimensions: int) -> None:
        """For a model of ``vocabulary`` whose vectors have so many dimensions."""
        self._vocabulary = vocabulary
        self._dimensions = dimensions
        self._by_shop: dict[str, Catalog] = {}
        self._placed: dict[str, Placed] = {}
        self._empty = Catalog(vocabulary)
        self._none_placed = Placed(self._empty, dimensions)

    def of(self, shop_id: str) -> Catalog:
        """A shop's catalogue, to read."""
        return self._by_shop.get(shop_id, self._empty)

    def for_feeding(self, shop_id: str) -> Catalog:
        """A shop's catalogue, to change; made if there is none yet."""
        catalog = self._by_shop.get(shop_id)
        if catalog is None:
            catalog = self._by_shop[shop_id] = Catalog(self._vocabulary)
            self._placed[shop_id] = Placed(catalog, self._dimensions)
        return catalog

    def placed(self, shop_id: str) -> Placed:
        """Where the products of a shop's catalogue lie that the model has not learned."""
        return self._placed.get(shop_id, self._none_placed)

    @property
    def shops(self) -> tuple[str, ...]:
        """The shops that have sent a record."""
        return tuple(self._by_shop)

    @property
    def listed(self) -> int:
        """How many products there are, over all shops."""
        return sum(catalog.listed for catalog in self._by_shop.values())
