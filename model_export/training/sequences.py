"""Training examples: windows of histories, and at each basket's end the basket that follows.

The objective is the shifted sequence, shifted by baskets: from everything up to one
moment, foretell what is turned to at the next, whether seen, put into the cart or bought.
(Lines of one order share a moment; foretelling one from the other would teach the order in
which a till prints them.) Where every interaction has a moment of its own, this is the usual
next-item objective.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model_export.dataset import Prepared, vocabulary_index
from services.shared.model_input import encode_known


@dataclass(frozen=True, slots=True)
class Histories:
    """R interactions with known products, ordered by (user, time)."""

    users: NDArray[np.int32]
    items: NDArray[np.int64]
    """[R] indices in the vocabulary, from 1."""
    actions: NDArray[np.int8]
    at: NDArray[np.int64]
    basket: NDArray[np.int64]
    """[R] which basket, counted over the data."""
    starts: NDArray[np.int64]
    """[baskets + 1] the first row of each basket; the last is R."""


class Batch(NamedTuple):
    """B windows, Q asked positions in each (some repeated to fill up), P pairs to learn."""

    items: Tensor
    """[B, L]"""
    actions: Tensor
    """[B, L]"""
    gaps: Tensor
    """[B, L]"""
    positions: Tensor
    """[B, Q]"""
    asked: Tensor
    """[P] rows of the [B·Q, d] queries."""
    targets: Tensor
    """[P] indices."""
    weights: Tensor
    """[P]; the targets of one position weigh 1 together."""


def vocabulary_codes(data: Prepared, *, part: int, least: int) -> NDArray[np.int32]:
    """Items with at least ``least`` interactions in the parts up to ``part``, ascending."""
    counts = np.bincount(data.items[data.parts <= part], minlength=len(data.ids.items))
    return np.flatnonzero(counts >= least).astype(np.int32)


def histories(data: Prepared, known: NDArray[np.int32], *, part: int) -> Histories:
    """The interactions of the parts up to ``part`` with the items of ``known``."""
    index = vocabulary_index(data.ids, known)
    rows = np.flatnonzero((data.parts <= part) & (index[data.items] > 0))
    users, at = data.users[rows], data.at[rows]
    new = (np.diff(users, prepend=-1) != 0) | (np.diff(at, prepend=-1) != 0)
    return Histories(
        users=users,
        items=index[data.items[rows]],
        actions=data.actions[rows],
        at=at,
        basket=np.cumsum(new) - 1,
        starts=np.append(np.flatnonzero(new), len(rows)),
    )


def shuffled(data: Histories, random: np.random.Generator) -> Histories:
    """The same with each basket's lines in a random order."""
    order = np.lexsort((random.random(len(data.basket)), data.basket))
    return Histories(
        data.users, data.items[order], data.actions[order], data.at, data.basket, data.starts
    )


def windows(
    data: Histories, *, max_length: int, random: np.random.Generator
) -> Iterator[tuple[int, int, int]]:
    """Windows (start, stop, asked from) that cover all, from a random offset for each user.

    Each covers ``max_length`` rows, and is asked in its newer half only, as a server asks
    with a long history: the next window overlaps it by half.
    """
    firsts = np.append(np.flatnonzero(np.diff(data.users, prepend=-1)), len(data.users))
    step = max(1, max_length // 2)
    for first, last in zip(firsts[:-1].tolist(), firsts[1:].tolist(), strict=True):
        asked_from = first
        stop = first + int(random.integers(step)) + step
        while asked_from < last:
            yield max(first, stop - max_length), min(stop, last), asked_from
            asked_from, stop = stop, stop + step


def epoch(
    data: Histories, *, max_length: int, size: int, random: np.random.Generator
) -> list[list[tuple[int, int, int]]]:
    """All windows of one epoch, in random order, ``size`` at a time."""
    found = list(windows(data, max_length=max_length, random=random))
    order = random.permutation(len(found))
    return [[found[i] for i in order[at : at + size]] for at in range(0, len(order), size)]


def batch_of(
    data: Histories,
    group: list[tuple[int, int, int]],
    *,
    max_length: int,
    most_targets: int,
    random: np.random.Generator,
) -> Batch | None:
    """The windows ``group`` as one batch; None where no basket follows any of them."""
    inputs = [
        encode_known(data.items[a:b], data.actions[a:b], data.at[a:b], max_length=max_length)
        for a, b, _ in group
    ]
    pairs = [_pairs(data, window, most_targets, random) for window in group]
    most = max(len(ends) for ends, _ in pairs)
    if not most:
        return None
    positions = np.full((len(group), most), max_length - 1)
    asked, targets, weights = [], [], []
    for row, ((_, stop, _), (ends, followed)) in enumerate(zip(group, pairs, strict=True)):
        positions[row, : len(ends)] = ends - stop + max_length
        for column, basket in enumerate(followed):
            asked.append(np.full(len(basket), row * most + column))
            targets.append(basket)
            weights.append(np.full(len(basket), 1 / len(basket), dtype=np.float32))
    return Batch(
        torch.from_numpy(np.stack([each.items for each in inputs])).long(),
        torch.from_numpy(np.stack([each.actions for each in inputs])),
        torch.from_numpy(np.stack([each.gaps for each in inputs])),
        torch.from_numpy(positions),
        torch.from_numpy(np.concatenate(asked)),
        torch.from_numpy(np.concatenate(targets)),
        torch.from_numpy(np.concatenate(weights)),
    )


def _pairs(
    data: Histories, window: tuple[int, int, int], most: int, random: np.random.Generator
) -> tuple[NDArray[np.int64], list[NDArray[np.int64]]]:
    """The rows of a window that end a basket, and what the basket after each holds."""
    _, stop, asked_from = window
    ends, followed = [], []
    for basket in range(int(data.basket[asked_from]), int(data.basket[stop - 1]) + 1):
        end = int(data.starts[basket + 1])
        if not asked_from < end <= stop or end >= len(data.items):
            continue
        if data.users[end] != data.users[end - 1]:
            continue
        lines = data.items[end : int(data.starts[basket + 2])]
        if len(lines) > most:
            lines = random.choice(lines, most, replace=False)
        ends.append(end - 1)
        followed.append(lines)
    return np.array(ends, dtype=np.int64), followed
