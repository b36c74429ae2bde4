"""Training examples: histories packed into rows, and at each basket's end the basket that follows.

The objective is the shifted sequence, shifted by baskets: from everything up to one
moment, foretell what is turned to at the next, and what for: whether seen, put into the
cart or bought. (Lines of one order share a moment; foretelling one from the other would
teach the order in which a till prints them.) Where every interaction has a moment of its
own, this is the usual next-item objective. Searches and impressions are read and never
foretold.

Several histories share a row of L places, so that little is computed on padding (Krell et
al., "Efficient Sequence Packing without Cross-contamination", 2021).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model_export.dataset import Interactions
from services.shared.model_input import TARGETS, gap_buckets

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Histories:
    """R interactions with known products, ordered by (user, time)."""

    users: NDArray[np.int32]
    items: Ints
    """[R] indices in the vocabulary, from 1; queries behind it."""
    actions: NDArray[np.int8]
    at: Ints
    starts: Ints
    """[baskets + 1] the first row of each basket; the last is R."""


class Rows(NamedTuple):
    """E rows of L places that hold W windows of histories, and what they ask."""

    items: Ints
    """[E, L]; 0 is padding."""
    actions: Ints
    """[E, L]"""
    gaps: Ints
    """[E, L]"""
    segments: Ints
    """[E, L] which history of its row a place belongs to; -1 is padding."""
    asked_row: Ints
    """[A] of each asked place, ascending; then its column."""
    asked_column: Ints
    asked_at: Ints
    """[A] the row of the histories that stands there: the last of a basket."""


class Batch(NamedTuple):
    """B rows; Q asked places in each (some repeated to fill up), M queries, P pairs to learn."""

    items: Tensor
    """[B, L]"""
    actions: Tensor
    """[B, L]"""
    gaps: Tensor
    """[B, L]"""
    segments: Tensor
    """[B, L]"""
    places: Tensor
    """[B, Q]"""
    states: Tensor
    """[M] rows of the [B·Q, d] states that are asked something,"""
    wanted: Tensor
    """[M] and for which action, as a position in TARGETS."""
    asked: Tensor
    """[P] rows of the [M, d] queries."""
    targets: Tensor
    """[P] indices."""
    weights: Tensor
    """[P]; the targets of one place weigh 1 together."""

    def to(self, device: torch.device) -> Batch:
        """The same on another device."""
        return Batch(*(each.to(device) for each in self))


def histories(data: Interactions, index: Ints, *, part: int) -> Histories:
    """The interactions of the parts up to ``part`` whose code has an ``index`` above 0."""
    rows = np.flatnonzero((data.parts <= part) & (index[data.items] > 0))
    users, at = data.users[rows], data.at[rows]
    new = (np.diff(users, prepend=-1) != 0) | (np.diff(at, prepend=-1) != 0)
    return Histories(
        users=users,
        items=index[data.items[rows]],
        actions=data.actions[rows],
        at=at,
        starts=np.append(np.flatnonzero(new), len(rows)),
    )


def shuffled(data: Histories, random: np.random.Generator) -> Histories:
    """The same with each basket's lines in a random order."""
    basket = np.repeat(np.arange(len(data.starts) - 1), np.diff(data.starts))
    order = np.lexsort((random.random(len(basket)), basket))
    return Histories(data.users, data.items[order], data.actions[order], data.at, data.starts)


def windows(data: Histories, *, max_length: int, random: np.random.Generator) -> Ints:
    """Windows [W, 3] (start, stop, asked from) that cover all rows.

    A history that fits is one window. A longer one is covered by windows of ``max_length``
    rows from a random offset, each asked in its newer half only, as a server asks with a
    long history: the next window overlaps it by half.
    """
    firsts = np.append(np.flatnonzero(np.diff(data.users, prepend=-1)), len(data.users))
    first, last = firsts[:-1], firsts[1:]
    long = last - first > max_length
    step = max(1, max_length // 2)
    offset = np.where(long, random.integers(step, size=len(first)) + step, last - first)
    more = np.where(long, -(-(last - first - offset) // step), 0)
    owner = np.repeat(np.arange(len(first)), more + 1)
    number = np.arange(len(owner)) - np.repeat(np.cumsum(more + 1) - more - 1, more + 1)
    stop = first[owner] + offset[owner] + number * step
    asked = np.where(number, stop - step, first[owner])
    start = np.maximum(first[owner], stop - max_length)
    return np.stack([start, np.minimum(stop, last[owner]), asked], axis=1)


def packed(data: Histories, found: Ints, *, max_length: int, random: np.random.Generator) -> Rows:
    """Put windows into rows; which stand together, and where, is left to chance."""
    found = found[random.permutation(len(found))]
    lengths = found[:, 1] - found[:, 0]
    row, column, number = _places(lengths, max_length, random)
    window = np.repeat(np.arange(len(found)), lengths)
    within = np.arange(len(window)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    at, where = found[window, 0] + within, (row[window], column[window] + within)
    tables = np.zeros((4, number, max_length), dtype=np.int64)
    items, actions, gaps, segments = tables
    segments -= 1
    items[where], actions[where], segments[where] = data.items[at], data.actions[at], window
    gaps[where] = np.where(within == 0, 0, gap_buckets(data.at)[at])
    asks = np.flatnonzero(_asks(data)[at] & (at >= found[window, 2]))
    asks = asks[np.lexsort((where[1][asks], where[0][asks]))]
    return Rows(items, actions, gaps, segments, where[0][asks], where[1][asks], at[asks])


def batch_of(data: Histories, rows: Rows, start: int, stop: int, *, most_targets: int) -> Batch:
    """The rows ``start`` to ``stop`` as one batch; P may be 0.

    Of a following basket with more lines than ``most_targets`` the first are taken: lines
    that were :func:`shuffled` make that a random choice.
    """
    mine = slice(*np.searchsorted(rows.asked_row, (start, stop)))
    row, column = rows.asked_row[mine] - start, rows.asked_column[mine]
    per_row = np.bincount(row, minlength=stop - start)
    most = max(1, int(per_row.max(initial=0)))
    places = np.full((stop - start, most), rows.items.shape[1] - 1)
    rank = np.arange(len(row)) - np.repeat(np.cumsum(per_row) - per_row, per_row)
    places[row, rank] = column
    asker, target, count = _following(data, rows.asked_at[mine], most_targets)
    kinds = len(TARGETS)
    query = (row * most + rank)[asker] * kinds + data.actions[target] - TARGETS[0]
    queries, asked = np.unique(query, return_inverse=True)
    return Batch(
        torch.from_numpy(rows.items[start:stop]),
        torch.from_numpy(rows.actions[start:stop]),
        torch.from_numpy(rows.gaps[start:stop]),
        torch.from_numpy(rows.segments[start:stop]),
        torch.from_numpy(places),
        torch.from_numpy(queries // kinds),
        torch.from_numpy(queries % kinds),
        torch.from_numpy(asked),
        torch.from_numpy(data.items[target]),
        torch.from_numpy((1 / count[asker]).astype(np.float32)),
    )


def _places(lengths: Ints, max_length: int, random: np.random.Generator) -> tuple[Ints, Ints, int]:
    """Row and first column of each window, and the number of rows.

    A row begins with the longest window that is left and is filled up with the shortest
    ones; the rows then come in random order.
    """
    row, column = np.zeros_like(lengths), np.zeros_like(lengths)
    order, size = np.argsort(lengths, kind="stable").tolist(), lengths.tolist()
    shortest, longest, rows = 0, len(order) - 1, 0
    while shortest <= longest:
        used = size[order[longest]]
        row[order[longest]] = rows
        longest -= 1
        while shortest <= longest and used + size[order[shortest]] <= max_length:
            row[order[shortest]], column[order[shortest]] = rows, used
            used += size[order[shortest]]
            shortest += 1
        rows += 1
    return random.permutation(rows)[row], column, rows


def _asks(data: Histories) -> NDArray[np.bool_]:
    """[R] whether a row ends a basket that is followed by one of the same user's to foretell."""
    asks = np.zeros(len(data.items), dtype=bool)
    if len(data.starts) < 3:
        return asks
    targets = np.add.reduceat(_is_target(data).astype(np.int64), data.starts[:-1])
    ends = data.starts[1:-1] - 1
    asks[ends] = (data.users[ends] == data.users[ends + 1]) & (targets[1:] > 0)
    return asks


def _is_target(data: Histories) -> NDArray[np.bool_]:
    return np.isin(data.actions, TARGETS)


def _following(data: Histories, ends: Ints, most: int) -> tuple[Ints, Ints, Ints]:
    """For P pairs which of ``ends`` asks and the row that follows; for each end its pairs."""
    basket = np.searchsorted(data.starts, ends + 1)
    size = data.starts[basket + 1] - data.starts[basket]
    asker = np.repeat(np.arange(len(ends)), size)
    target = data.starts[basket][asker] + np.arange(len(asker)) - (np.cumsum(size) - size)[asker]
    wanted = _is_target(data)[target]
    asker, target = asker[wanted], target[wanted]
    first = np.searchsorted(asker, asker)
    kept = np.arange(len(asker)) - first < most
    asker, target = asker[kept], target[kept]
    return asker, target, np.bincount(asker, minlength=len(ends))
