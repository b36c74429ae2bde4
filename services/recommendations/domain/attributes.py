"""Names and values that products give themselves.

A column for each name would have a place for each product, and a shop may have thousands of
names, of which a product has a few. So each pair of a name and a value has a code, and the codes
of all products lie one behind the other: eight bytes a pair, and five a product.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from sys import intern
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.recommendations.domain.columns import Dictionary, grown

FIRST_PLACES: Final = 1_024
NOBODY: Final = 0
"""The row of places that are free: padding, which has no attributes."""


class Named(NamedTuple):
    """What n rows have under one name: m distinct values."""

    values: list[str]
    """[1 + m]; the first stands for rows without."""
    codes: NDArray[np.int32]
    """[n] the place of each row's value; padding's means nothing."""


class Attributes:
    """By row, from 1 on."""

    def __init__(self, rows: int) -> None:
        self._pairs: Dictionary[tuple[str, str]] = Dictionary(("", ""))
        self._starts: NDArray[np.int32] = np.zeros(rows, dtype=np.int32)
        self._counts: NDArray[np.uint8] = np.zeros(rows, dtype=np.uint8)
        self._codes: NDArray[np.int32] = np.zeros(FIRST_PLACES, dtype=np.int32)
        self._owners: NDArray[np.int32] = np.zeros(FIRST_PLACES, dtype=np.int32)
        self._used = 0

    def __getitem__(self, row: int) -> Mapping[str, str]:
        values = self._pairs.values
        return dict(values[code] for code in self._of(row).tolist())

    def __setitem__(self, row: int, attributes: Mapping[str, str]) -> None:
        take, old = self._pairs.take, self._of(row).tolist()
        new = [take((intern(name), value)) for name, value in attributes.items()]
        for code in old:
            self._pairs.give_back(code)
        if len(new) != len(old):
            self._move(row, len(new))
        self._of(row)[:] = new

    @property
    def places(self) -> int:
        """How many codes it has room for, in use or not."""
        return len(self._codes)

    def grow(self, size: int) -> None:
        """Make ``size`` rows."""
        self._starts = grown(self._starts, size)
        self._counts = grown(self._counts, size)

    def under(self, name: str, rows: Iterable[int]) -> list[str | None]:
        """What each of a few rows has under ``name``."""
        return [self[row].get(name) for row in rows]

    def named(self, name: str, count: int) -> Named:
        """What the first ``count`` rows have under ``name``."""
        pairs = self._pairs.values
        meant = [code for code, pair in enumerate(pairs) if code and pair[0] == name]
        places = np.zeros(len(pairs), dtype=np.int32)
        places[meant] = range(1, len(meant) + 1)
        found = places.take(self._codes[: self._used])
        hits = np.flatnonzero(found)
        codes = np.zeros(count, dtype=np.int32)
        codes[self._owners[hits]] = found[hits]
        return Named(["", *(pairs[code][1] for code in meant)], codes)

    def _of(self, row: int) -> NDArray[np.int32]:
        """A row's codes, to read or to set."""
        start = int(self._starts[row])
        return self._codes[start : start + int(self._counts[row])]

    def _move(self, row: int, count: int) -> None:
        """Give the row ``count`` places at the end, and up those it had."""
        start = int(self._starts[row])
        self._owners[start : start + int(self._counts[row])] = NOBODY
        self._counts[row] = 0
        if self._used + count > len(self._codes):
            self._tidy()
        self._starts[row], self._counts[row] = self._used, count
        self._owners[self._used : self._used + count] = row
        self._used += count

    def _tidy(self) -> None:
        """Close the gaps; if that leaves less than half of the places free, make as many again."""
        held = np.flatnonzero(self._owners[: self._used])
        size = max(len(self._codes), 2 * len(held) + FIRST_PLACES)
        self._codes = grown(self._codes[held], size)
        self._owners = grown(self._owners[held], size)
        first = np.flatnonzero(np.diff(self._owners[: len(held)], prepend=NOBODY))
        self._starts[self._owners[first]] = first
        self._used = len(held)
