"""The catalogues of the shops of one server."""

from __future__ import annotations

from collections.abc import Collection

from services.recommendations.domain.catalog import Catalog
from services.shared.model_input import Vocabulary


class Catalogs:
    """One catalogue for each shop that has sent a record; any other shop's is empty.

    Where one model answers for all shops, all begin with its vocabulary: a bundle is trained on one
    shop's product ids, so a product id of another shop means the model's product only if the two
    shops agree on it. Where each shop has models of its own, each begins with its first one's.
    """

    def __init__(self, vocabulary: Vocabulary, shops: Collection[str] | None = None) -> None:
        """``shops`` are those that are served; all where there is None."""
        self._vocabulary = vocabulary
        self._served = shops
        self._by_shop: dict[str, Catalog] = {}
        self._empty = Catalog(vocabulary)

    def serves(self, shop_id: str) -> bool:
        """Whether anything is to be known of a shop."""
        return self._served is None or shop_id in self._served

    def has(self, shop_id: str) -> bool:
        """Whether a shop has a catalogue already."""
        return shop_id in self._by_shop

    def begin(self, shop_id: str, vocabulary: Vocabulary) -> Catalog:
        """A shop's catalogue; one that begins with this vocabulary if there is none yet."""
        catalog = self._by_shop.get(shop_id)
        if catalog is None:
            catalog = self._by_shop[shop_id] = Catalog(vocabulary)
        return catalog

    def of(self, shop_id: str) -> Catalog:
        """A shop's catalogue, to read."""
        return self._by_shop.get(shop_id, self._empty)

    def for_feeding(self, shop_id: str) -> Catalog:
        """A shop's catalogue, to change; made if there is none yet."""
        return self.begin(shop_id, self._vocabulary)

    @property
    def shops(self) -> tuple[str, ...]:
        """The shops that have a catalogue."""
        return tuple(self._by_shop)

    @property
    def listed(self) -> int:
        """How many products there are, over all shops."""
        return sum(catalog.listed for catalog in self._by_shop.values())
