"""The model bundle, loaded and proven: from a profile to the scores of all products."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.recommendations.adapters.search_vectors import SearchVectors, TextVectors
from services.recommendations.domain.learned import Learned, LearnedProducts
from services.recommendations.domain.reasons import History
from services.shared.bundle import Bundle, load_bundle
from services.shared.bundle_rows import InRows, as_it_is, in_rows
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
    known,
)
from services.shared.scores import Scorer


class Reading(NamedTuple):
    """What the model makes of a shopper's interactions."""

    scores: Floats
    """[n] of all products that it has learned, by row; the caller's own to change."""
    history: History


class Proven(NamedTuple):
    """A bundle that computes here what it did where it was made."""

    bundle: Bundle
    encoder: Encoder
    search_vectors: SearchVectors | None
    """None for a bundle that reads no searches."""


class Model:
    """A bundle in memory, by rows; it never changes, and is gone when nobody holds it any more."""

    def __init__(self, proven: Proven, parts: InRows, products: Products) -> None:
        """Take the bundle's tables as they are in ``parts``, where ``products`` has their rows."""
        self._encoder = proven.encoder.with_vectors(parts.item_vectors)
        self._scorer = Scorer(parts)
        self._search_vectors = proven.search_vectors
        self._max_length = parts.settings.max_length
        self._products = products
        self.reads: Collection[str] = parts.settings.reads
        """Names of the actions that :meth:`read` wants."""
        self.version = proven.bundle.manifest.version
        self.learned = Learned(parts.item_vectors, parts.popularity, parts.gaps)

    def read(self, did: Sequence[Interaction], now: int) -> Reading | None:
        """The scores for what a shopper did, oldest first; None if it knows none of it.

        ``now`` is microseconds since 1970.
        """
        read = [each for each in did if each.action == SEARCH or each.product_id in self._products]
        whole = known(read, self._products)
        newest = whole.newest(self._max_length)
        if (newest.actions == IMPRESSION).all():
            return None
        searched = self._searched(read)
        model_input = encode_known(*newest, max_length=self._max_length)
        query = self._encoder.encode(model_input, searched=searched)
        history = self._history(read, newest, searched)
        return Reading(self._scorer.scores(query, whole, now), history)

    def _searched(self, read: Sequence[Interaction]) -> Floats | None:
        queries = [each.query for each in read if each.action == SEARCH]
        if not queries or self._search_vectors is None:
            return None
        return self._search_vectors(queries)

    def _history(
        self, read: Sequence[Interaction], newest: Known, searched: Floats | None
    ) -> History:
        """What can be a reason: all that was done, not what was only shown."""
        done = np.flatnonzero(newest.actions != IMPRESSION)
        events = [read[i - len(newest.items)] for i in done.tolist()]
        return History(events, self._encoder.directions(newest.items[done], searched))


class NoModel(Model):
    """What answers where there is no bundle: it has learned nothing and reads nothing."""

    def __init__(self) -> None:
        self.reads = READS
        self.version = ""
        padding = np.zeros((1, 1), dtype=np.float32)
        self.learned = Learned(FullVectors(padding), np.zeros(1, dtype=np.int32))

    def read(self, did: Sequence[Interaction], now: int) -> None:  # noqa: ARG002
        """Nothing, whatever was done."""
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
    name = bundle.settings.text_encoder
    if not name:
        return Proven(bundle, encoder, None)
    if text_vectors_of is None:
        raise BundleRefused(
            f"{folder / 'settings.json'}: the model reads searches with the text encoder {name}, "
            "which this server does not have; serve a bundle that was trained without searches"
        )
    return Proven(bundle, encoder, SearchVectors(bundle, text_vectors_of(name)))


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
    learned = Learned(parts.item_vectors, parts.popularity, parts.gaps)
    return Model(proven, parts, LearnedProducts(row_of, learned))
