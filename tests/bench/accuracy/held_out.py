"""Users' histories with the last two items held out, as the papers on these files have it."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

LEAST: int = 4
"""Items a user must have: two held out, and two for one step from one to the next."""


class HeldOut(NamedTuple):
    """Items are 1 to ``items``; users are in the order of the file."""

    train: Sequence[NDArray[np.int64]]
    """A user's items but the last two, oldest first."""
    validation: NDArray[np.int64]
    """The last but one, [users]."""
    test: NDArray[np.int64]
    """The last one, [users]."""
    items: int

    def before_test(self) -> list[NDArray[np.int64]]:
        """A user's items but the last."""
        pairs = zip(self.train, self.validation, strict=True)
        return [np.append(seen, last) for seen, last in pairs]


def read(path: Path) -> HeldOut:
    """Read a gzipped file of one line a user: ``user item item …``, oldest first.

    Raises ``ValueError`` with the line's number where one has fewer than :data:`LEAST` items,
    or what is no positive number.
    """
    train, held = [], []
    with gzip.open(path, "rt") as lines:
        for number, line in enumerate(lines, 1):
            items = _items(line, f"{path.name}, line {number}")
            train.append(items[:-2])
            held.append(items[-2:])
    if not held:
        raise ValueError(f"{path.name} has no user")
    validation, test = np.array(held).T
    most = max(int(items.max()) for items in (*train, validation, test))
    return HeldOut(train, validation, test, most)


def _items(line: str, where: str) -> NDArray[np.int64]:
    try:
        items = np.array([int(word) for word in line.split()[1:]], np.int64)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None
    if len(items) < LEAST or items.min() < 1:
        raise ValueError(f"{where}: wants {LEAST} items or more, each of 1 or more")
    return items
