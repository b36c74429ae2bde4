"""The model bundle, loaded and proven: from a profile to the scores of all products."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.recommendations.adapters.placing import TowerPlacer
from services.recommendations.adapters.search_vectors import SearchVectors, TextVectors
from services.recommendations.domain.learned import Learned, LearnedProducts, Reading
from services.recommendations.domain.reasons import History
from services.shared.bundle import Bundle, load_bundle
from services.shared.bundle_rows import InRows, as_it_is, in_rows
from services.shared.content_input import ProductContent
from services.shared.encoder import Encoder, check_golden
from services.shared.errors import BundleRefused
from services.shared.item_vectors import Floats, FullVectors
from services.shared.model_input import (
    IMPRESSION,
    READS,
    SEARCH,
    Interaction,
    Known,
    Products,
    Vocabulary,
    encode_known,
    known_places,
)
from services.shared.scores import Scorer


class Proven(NamedTuple):
    """A bundle that computes here what it did where it was made."""

    bundle: Bundle
    encoder: Encoder
    search_vectors: SearchVectors | None
    """None for a bundle that reads no searches."""
    placer: TowerPlacer | None
    """None for a bundle without a content tower."""


class Model:
    """A bundle in memory, by rows; it never changes, and is gone when nobody holds it any more."""

    def __init__(self, proven: Proven, parts: InRows, products: Products) -> None:
        """Take the bundle's tables as they are in ``parts``, where ``products`` has their rows."""
        self._encoder = proven.encoder.with_vectors(parts.item_vectors)
        self._scorer = Scorer(parts)
        self._search_vectors = proven.search_vectors
        self._placer = proven.placer
        self._max_length = parts.settings.max_length
        self._targets = parts.settings.targets
        self.products = products
        """Those that it has learned, by row."""
        self.reads: Collection[str] = parts.settings.reads
        """Names of the actions that :meth:`read` wants."""
        self.version = proven.bundle.manifest.version
        self.learned = Learned(
            parts.item_vectors, parts.popularity, parts.neighbours, parts.repeat, parts.gaps
        )

    def read(
        self, did: Sequence[Interaction], now: int, wanted: Mapping[str, float] | None = None
    ) -> Reading | None:
        """See :class:`services.recommendations.domain.learned.Model`."""
        whole, places = known_places(did, self.products)
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
        items, actions = newest.items[done], newest.actions[done]
        events = [did[place] for place in places[done].tolist()]
        directions = self._encoder.directions(items, searched)
        counts = items <= len(self.products)  # a search adds nothing by itself

        def company(rows: NDArray[np.intp]) -> Floats:
            added = np.zeros((len(rows), len(items)), dtype=np.float32)
            added[:, counts] = self._scorer.company(items[counts], actions[counts], rows)
            return added

        return History(events, directions, company)


class NoModel(Model):
    """What answers where there is no bundle: it has learned nothing and reads nothing."""

    def __init__(self) -> None:
        self.reads = READS
        self.version = ""
        padding = np.zeros((1, 1), dtype=np.float32)
        self.learned = Learned(FullVectors(padding), np.zeros(1, dtype=np.int32))

    def read(
        self,
        did: Sequence[Interaction],  # noqa: ARG002 - nothing, whatever was done
        now: int,  # noqa: ARG002
        wanted: Mapping[str, float] | None = None,  # noqa: ARG002
    ) -> None:
        """Nothing."""
        return

    def place(
        self,
        contents: Sequence[ProductContent],  # noqa: ARG002 - nowhere, whatever they are
        titles: Sequence[str],  # noqa: ARG002
    ) -> None:
        """Nowhere."""
        return


NO_MODEL: Final = NoModel()


def prove(folder: Path, text_vectors_of: Callable[[str], TextVectors] | None = None) -> Proven:
    """Load the bundle in ``folder`` and have it show what it computes. Raises BundleRefused.

    ``text_vectors_of`` opens a text encoder by its name; it is asked only for a bundle that
    reads searches.
    """
    bundle = load_bundle(folder)
    encoder = Encoder(bundle)
    check_golden(bundle, encoder)
    name, content = bundle.settings.text_encoder, bundle.content
    if not name:
        return Proven(
            bundle, encoder, None, None if content is None else TowerPlacer(bundle, content, None)
        )
    if text_vectors_of is None:
        raise BundleRefused(
            f"{folder / 'settings.json'}: the model reads searches with the text encoder {name}, "
            "which this server does not have; serve a bundle that was trained without searches"
        )
    text_vectors = text_vectors_of(name)
    return Proven(
        bundle,
        encoder,
        SearchVectors(bundle, text_vectors),
        None if content is None else TowerPlacer(bundle, content, text_vectors),
    )


def model_of(proven: Proven, vocabulary: Vocabulary) -> Model:
    """The model in the bundle's own rows, for a catalogue that began with its ``vocabulary``.

    One of the same products, so that the bundle's own need not be kept beside it.
    """
    return Model(proven, as_it_is(proven.bundle), vocabulary)


def model_in_rows(
    proven: Proven, rows: NDArray[np.int64], row_of: Callable[[str], int], size: int
) -> Model:
    """The model with padding and its products at ``rows`` [n] of ``size``; see InRows.

    ``row_of`` tells the row of a product's id. No vocabulary of the model's own is kept.
    """
    parts = in_rows(proven.bundle, rows, size)
    learned = Learned(parts.item_vectors, parts.popularity, gaps=parts.gaps)
    return Model(proven, parts, LearnedProducts(row_of, learned))
