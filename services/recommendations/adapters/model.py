"""The model bundle, loaded and proven: from a profile to the scores of all products."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from services.recommendations.domain.learned import Learned
from services.recommendations.domain.reasons import History
from services.shared.bundle import Bundle, load_bundle
from services.shared.encoder import Encoder, check_golden
from services.shared.errors import BundleRefused
from services.shared.item_vectors import Floats
from services.shared.model_input import (
    IMPRESSION,
    Interaction,
    Known,
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


class Model:
    """A bundle in memory; lives as long as the server."""

    def __init__(self, bundle: Bundle) -> None:
        """Load the encoder. Raises BundleRefused where it computes what it should not."""
        self._encoder = Encoder(bundle)
        check_golden(bundle, self._encoder)
        self._scorer = Scorer(bundle)
        self._max_length = bundle.settings.max_length
        self.reads = bundle.settings.reads
        if "search" in self.reads:
            raise BundleRefused(
                f"{bundle.folder / 'settings.json'}: this release turns no query into a vector; "
                "train without searches"
            )
        self.vocabulary: Vocabulary = bundle.vocabulary
        self.version = bundle.manifest.version
        self.learned = Learned(bundle.item_vectors, bundle.popularity)

    def read(self, did: Sequence[Interaction], now: int) -> Reading | None:
        """The scores for what a shopper did, oldest first; None if it knows none of it.

        ``now`` is microseconds since 1970.
        """
        read = [each for each in did if each.product_id in self.vocabulary]
        whole = known(read, self.vocabulary)
        newest = whole.newest(self._max_length)
        if (newest.actions == IMPRESSION).all():
            return None
        query = self._encoder.encode(encode_known(*newest, max_length=self._max_length))
        return Reading(self._scorer.scores(query, whole, now), self._history(read, newest))

    def _history(self, read: Sequence[Interaction], newest: Known) -> History:
        """What can be a reason: all that was done, not what was only shown."""
        done = np.flatnonzero(newest.actions != IMPRESSION)
        events = [read[i - len(newest.items)] for i in done.tolist()]
        return History(events, self.learned.vectors.directions(newest.items[done]))


def load_model(folder: Path) -> Model:
    """The model of the bundle in ``folder``. Raises BundleRefused."""
    return Model(load_bundle(folder))
