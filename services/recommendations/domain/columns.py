"""Columns that hold of a million products what their number of distinct values needs.

A brand stands in thousands of products and is kept once: a row has its code, four bytes. What
asks something of a brand then asks each distinct value once, and looks the answers up.
"""

from __future__ import annotations

from array import array
from collections.abc import Hashable, Sequence
from typing import Any, Final, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

V = TypeVar("V", bound=Hashable)
N = TypeVar("N", bound=np.generic)

NOTHING: Final = 0
"""The code of a row that has no value."""


def grown(column: NDArray[N], size: int, fill: Any = 0) -> NDArray[N]:
    """The column with ``size`` places; the new ones hold ``fill``."""
    more = np.full(size - len(column), fill, dtype=column.dtype)
    return np.concatenate([column, more])


def objects(values: Sequence[Any]) -> NDArray[np.object_]:
    """[n] the values themselves, also where they are tuples, and strings as they are.

    NumPy's own strings would lose zero characters at their end.
    """
    return np.fromiter(values, dtype=np.object_, count=len(values))


class Dictionary(Generic[V]):
    """A code for each distinct value that is in use; what falls out of use gives its code back.

    So values that come and go, as a shop's feed may bring them for years, do not pile up.
    """

    def __init__(self, nothing: V) -> None:
        self.values: list[V] = [nothing]
        """By code; that of a code in no use now is what :data:`NOTHING` stands for."""
        self._nothing = nothing
        self._codes: dict[V, int] = {nothing: NOTHING}
        self._uses = array("q", [0])
        self._free: list[int] = []

    def code(self, value: V) -> int | None:
        """The code of a value that is in use; else None."""
        return self._codes.get(value)

    def take(self, value: V) -> int:
        """The value's code, used once more."""
        code = self._codes.get(value)
        if code is None:
            code = self._codes[value] = self._place_for(value)
        self._uses[code] += 1
        return code

    def give_back(self, code: int) -> None:
        """The code, which was taken, is used once less."""
        self._uses[code] -= 1
        if code != NOTHING and not self._uses[code]:
            del self._codes[self.values[code]]
            self.values[code] = self._nothing
            self._free.append(code)

    def _place_for(self, value: V) -> int:
        if self._free:
            code = self._free.pop()
            self.values[code] = value
            return code
        self.values.append(value)
        self._uses.append(0)
        return len(self.values) - 1


class Coded(Generic[V]):
    """A column of values of which many are equal."""

    def __init__(self, rows: int, nothing: V) -> None:
        self.codes: NDArray[np.int32] = np.zeros(rows, dtype=np.int32)
        """[capacity]"""
        self.dictionary = Dictionary(nothing)

    @property
    def values(self) -> Sequence[V]:
        """What the codes stand for."""
        return self.dictionary.values

    def __getitem__(self, row: int) -> V:
        return self.dictionary.values[int(self.codes[row])]

    def __setitem__(self, row: int, value: V) -> None:
        code = self.dictionary.take(value)
        self.dictionary.give_back(int(self.codes[row]))
        self.codes[row] = code

    def grow(self, size: int) -> None:
        """Make ``size`` places."""
        self.codes = grown(self.codes, size)
