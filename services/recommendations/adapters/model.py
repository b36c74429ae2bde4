"""The model bundle, loaded and proven: from a profile to the scores of all products."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from services.recommendations.adapters.placing import TowerPlacer
from services.recommendations.adapters.search_vectors import SearchVectors, TextVectors
from services.recommendations.domain.learned import Learned, Reading
from services.recommendations.domain.reasons import History
from services.shared.bundle import Bundle, load_bundle
from services.shared.content_input import ProductContent
from services.shared.encoder import Encoder, check_golden
from services.shared.errors import BundleRefused
from services.shared.item_vectors import Floats
from services.shared.model_input import (
    IMPRESSION,
    SEARCH,
    Interaction,
    Known,
    Vocabulary,
    encode_known,
    known_places,
)
from services.shared.scores import Scorer


class Model:
    """A bundle in memory; lives as long as the server."""

    def __init__(self, bundle: Bundle, text_vectors: TextVectors | None = None) -> None:
        """Load the encoder. Raises BundleRefused where it computes what it should not.

        A bundle that reads searches needs ``text_vectors``, those of its text encoder.
        """
        self._encoder = Encoder(bundle)
        check_golden(bundle, self._encoder)
        self._scorer = Scorer(bundle)
        self._search_vectors = None
        if text_vectors is not None and "search" in bundle.settings.reads:
            self._search_vectors = SearchVectors(bundle, text_vectors)
        self._placer = (
            None if bundle.content is None else TowerPlacer(bundle, bundle.content, text_vectors)
        )
        self._max_length = bundle.settings.max_length
        self._targets = bundle.settings.targets
        self.reads = bundle.settings.reads
        """Names of the actions that :meth:`read` wants."""
        self.vocabulary: Vocabulary = bundle.vocabulary
        self.version = bundle.manifest.version
        self.learned = Learned(
            bundle.item_vectors, bundle.popularity, bundle.neighbours, bundle.repeat
        )

    def read(
        self, did: Sequence[Interaction], now: int, wanted: Mapping[str, float] | None = None
    ) -> Reading | None:
        """See :class:`services.recommendations.domain.learned.Model`."""
        whole, places = known_places(did, self.vocabulary)
        newest = whole.newest(self._max_length)
        if (newest.actions == IMPRESSION).all():
            return None
        searched = self._searched(did)
        query = self._encoder.encode(
            encode_known(*newest, max_length=self._max_length),
            wanted=self._wanted(wanted or {}),
            searched=searched,
        )
        history = self._history(did, places[-self._max_length :], newest, searched)
        return Reading(self._scorer.scores(query, whole, now), history, query, whole)

    def place(self, contents: Sequence[ProductContent], titles: Sequence[str]) -> Floats | None:
        """See :class:`services.recommendations.domain.placed.Placer`."""
        return None if self._placer is None else self._placer.place(contents, titles)

    def _wanted(self, told: Mapping[str, float]) -> Floats | None:
        """What is wanted [A] of the model's targets, in 1 of all; None for the bundle's own."""
        weights = np.array([told.get(name, 0.0) for name in self._targets], dtype=np.float32)
        return weights / weights.sum() if weights.any() else None

    def _searched(self, did: Sequence[Interaction]) -> Floats | None:
        if self._search_vectors is None:
            return None
        queries = [each.query for each in did if each.action == SEARCH]
        return self._search_vectors(queries) if queries else None

    def _history(
        self,
        did: Sequence[Interaction],
        places: NDArray[np.intp],
        newest: Known,
        searched: Floats | None,
    ) -> History:
        """What can be a reason: all that was done, not what was only shown."""
        done = np.flatnonzero(newest.actions != IMPRESSION)
        events, items = [did[place] for place in places[done].tolist()], newest.items[done]
        directions = self._encoder.directions(items, searched)
        counts = items <= len(self.vocabulary)  # a search adds nothing by itself

        def company(rows: NDArray[np.intp]) -> Floats:
            added = np.zeros((len(rows), len(items)), dtype=np.float32)
            added[:, counts] = self._scorer.company(items[counts], rows)
            return added

        return History(events, directions, company)


def load_model(folder: Path, text_vectors_of: Callable[[str], TextVectors] | None = None) -> Model:
    """The model of the bundle in ``folder``. Raises BundleRefused.

    ``text_vectors_of`` opens a text encoder by its name; it is asked only for a bundle that
    reads searches.
    """
    bundle = load_bundle(folder)
    name = bundle.settings.text_encoder
    if not name:
        return Model(bundle)
    if text_vectors_of is None:
        raise BundleRefused(
            f"{folder / 'settings.json'}: the model reads searches with the text encoder {name}, "
            "which this server does not have; serve a bundle that was trained without searches"
        )
    return Model(bundle, text_vectors_of(name))
