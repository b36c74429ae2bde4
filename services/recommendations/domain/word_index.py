"""Which rows of a catalogue hold a word: an inverted index that changes while it is read."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping
from math import log1p

import numpy as np
from numpy.typing import NDArray


class WordIndex:
    """Word → rows. Adding is O(1) a word, taking away O(rows of the word), at C speed."""

    def __init__(self) -> None:
        self._rows: dict[str, array[int]] = {}

    def add(self, row: int, words: Iterable[str]) -> None:
        """From now on ``row`` has ``words``; it must not have any of them yet."""
        for word in words:
            rows = self._rows.get(word)
            if rows is None:
                self._rows[word] = array("i", (row,))
            else:
                rows.append(row)

    def discard(self, row: int, words: Iterable[str]) -> None:
        """``row`` no longer has ``words``."""
        for word in words:
            rows = self._rows.get(word)
            if rows is None:
                continue
            places = np.flatnonzero(np.array(rows, dtype=np.intc) == row)
            if places.size:
                rows[int(places[0])] = rows[-1]
                rows.pop()
            if not rows:
                del self._rows[word]

    def rows_of(self, word: str) -> NDArray[np.intc]:
        """The rows that have ``word``, each once, in no order; a copy."""
        rows = self._rows.get(word)
        return np.array(rows if rows is not None else (), dtype=np.intc)

    def weights(self, words: Iterable[str], *, size: int) -> Mapping[str, float]:
        """The words that stand in the catalogue, each with its share of the query's meaning.

        Rare words say more: inverse document frequency log(1 + size / rows), normalised to
        a sum of 1. ``size`` is how many products the catalogue has.
        """
        raw = {w: log1p(size / len(self._rows[w])) for w in words if w in self._rows}
        total = sum(raw.values())
        return {word: weight / total for word, weight in raw.items()}
