"""A prepared data set: interactions as numbers, and what they are about.

Items and queries share one space of codes: a code below the number of items is an item,
above them a query. How it lies on disk says :mod:`model_export.prepared_folder`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, overload

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from model_export.source import Source as Source

DAY: Final = 86_400_000_000
"""In microseconds, as all times here are."""

TRAIN: Final = 0
VALIDATION: Final = 1
HELD_OUT: Final = 2


@dataclass(frozen=True, slots=True)
class Content:
    """What is known of the products besides who bought them."""

    names: list[str]
    """What feature 1, 2, … is, such as ``brand:HP`` or ``category:Paper > Envelopes``."""
    features: NDArray[np.int32]
    """[items, F] positions in ``names``, from 1; 0 fills up."""
    text: NDArray[np.float16] | None = None
    """[items, k] unit vectors of titles and descriptions; a row of zeros has none."""
    query_text: NDArray[np.float16] | None = None
    """[queries, k]."""
    encoder: str = ""
    """Which text encoder made the vectors."""
    price_bounds: tuple[float, ...] = ()
    """Where the bands of prices part, see :func:`content_input.price_band`."""


class Features(msgspec.Struct, frozen=True):
    """What ``features.json`` says; the fields are those of :class:`Content`."""

    names: list[str] = []
    encoder: str = ""
    price_bounds: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Ids:
    """The ids behind the numbers, ascending."""

    users: list[str]
    items: list[str]
    queries: list[str]
    groups: list[str | None]
    """[users] the demographic group of each, where it is known."""


@dataclass(frozen=True, slots=True)
class Interactions:
    """N interactions, ordered by (user, time, place in the input)."""

    users: NDArray[np.int32]
    """[N] positions in ``ids.users``."""
    items: NDArray[np.int32]
    """[N] positions in ``ids.items`` (ascending ids, so ties break by id); for a search the
    number of items and the position in ``ids.queries``."""
    at: NDArray[np.int64]
    """[N] microseconds since 1970."""
    actions: NDArray[np.int8]
    """[N] values of ``model_input.ACTIONS``."""
    parts: NDArray[np.int8]
    """[N] TRAIN, VALIDATION or HELD_OUT."""
    sessions: NDArray[np.int32]
    """[N] which of the user's sessions, from 0."""


class Sharded(Sequence[Interactions]):
    """Interactions in shards, each made when it is asked for."""

    def shard(self, index: int) -> Interactions:
        """The shard at ``index``, from 0 and below the length."""
        raise NotImplementedError

    @overload
    def __getitem__(self, index: int) -> Interactions: ...
    @overload
    def __getitem__(self, index: slice) -> list[Interactions]: ...
    def __getitem__(self, index: int | slice) -> Interactions | list[Interactions]:
        if isinstance(index, slice):
            return [self.shard(i) for i in range(*index.indices(len(self)))]
        if not 0 <= index < len(self):
            raise IndexError(f"shard {index} of {len(self)}")
        return self.shard(index)


class About(NamedTuple):
    """All of a prepared data set but the interactions."""

    ids: Ids
    source: Source
    content: Content | None


@dataclass(frozen=True, slots=True)
class Prepared(Interactions):
    """All interactions of a prepared data set, and what they are about."""

    ids: Ids
    source: Source
    content: Content | None = None

    @property
    def about(self) -> About:
        """All but the interactions."""
        return About(self.ids, self.source, self.content)


class Tables(NamedTuple):
    """All files of a prepared folder but interactions and vectors."""

    items: pl.DataFrame
    """``item_id``, ``features`` (of varying number, none 0), and what is known besides."""
    users: pl.DataFrame
    """``user_id`` and ``group``."""
    queries: pl.DataFrame
    features: Features
    source: Source


class Basket(NamedTuple):
    """What one user did at one time: rows ``start`` to ``stop`` of a user's rows from ``first``."""

    user: int
    first: int
    start: int
    stop: int


def baskets(data: Interactions, part: int) -> Iterator[Basket]:
    """The baskets of one part, in the order of the data.

    A basket is everything of one user at one time: an order's lines, or a single event.
    """
    if not len(data.users):
        return
    new_user = np.diff(data.users, prepend=-1) != 0
    starts = np.flatnonzero(new_user | (np.diff(data.at, prepend=-1) != 0))
    stops = np.append(starts[1:], len(data.users))
    firsts = np.flatnonzero(new_user)[np.cumsum(new_user)[starts] - 1]
    wanted = data.parts[starts] == part
    for first, start, stop in zip(
        firsts[wanted].tolist(), starts[wanted].tolist(), stops[wanted].tolist(), strict=True
    ):
        yield Basket(int(data.users[start]), first, start, stop)


def vocabulary_index(ids: Ids, known: NDArray[np.integer]) -> NDArray[np.int64]:
    """The index of each code in a vocabulary of ``known`` items, from 1; 0 for other items.

    Queries follow the vocabulary: the first is ``len(known) + 1``.
    """
    index = np.zeros(len(ids.items) + len(ids.queries), dtype=np.int64)
    index[known] = np.arange(1, len(known) + 1)
    index[len(ids.items) :] = len(known) + 1 + np.arange(len(ids.queries))
    return index
