"""Places products that the model has not learned, by the bundle's content tower."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from services.recommendations.adapters.search_vectors import TextVectors
from services.shared.bundle import Bundle
from services.shared.content_input import FeatureVocabulary, ProductContent, feature_names
from services.shared.content_tower import ContentSettings, ContentTower
from services.shared.item_vectors import Floats


class TowerPlacer:
    """A bundle's content tower; lives as long as the model."""

    def __init__(
        self, bundle: Bundle, content: ContentSettings, text_vectors: TextVectors | None
    ) -> None:
        """Load the tower. Raises BundleRefused where it does not load.

        Without ``text_vectors`` a product is placed without its words, as one whose title says
        nothing: a tower learns from such products, too.
        """
        self._tower = ContentTower(bundle.tower_path, content, bundle.settings.dimensions)
        self._content = content
        self._features = FeatureVocabulary(content.names)
        self._text_vectors = text_vectors

    def place(self, contents: Sequence[ProductContent], titles: Sequence[str]) -> Floats:
        """See :class:`services.recommendations.domain.placed.Placer`."""
        width, bounds = self._content.most_features, self._content.price_bounds
        features = [self._features.padded(feature_names(each, bounds), width) for each in contents]
        text = np.zeros((len(titles), self._content.text_dimensions), dtype=np.float32)
        if self._text_vectors is not None and self._content.text_dimensions:
            text = self._text_vectors(titles)
        return self._tower.vectors(np.array(features, dtype=np.int64), text)
