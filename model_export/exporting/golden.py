"""Inputs that a bundle carries with their outputs, so that a server can prove itself."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from model_export.dataset import HELD_OUT, Prepared, vocabulary_index
from model_export.training.checkpoint import Checkpoint
from services.shared.model_input import ACTIONS, GAP_BUCKETS, ModelInput, encode_known

REAL: Final = 32
RANDOM: Final = 31

Inputs = tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.int64]]


def golden_inputs(data: Prepared, checkpoint: Checkpoint) -> Inputs:
    """Items, actions and gaps, [64, L] each: no history, real ones, and random ones.

    Real histories show what servers will see; random ones reach every action, gap and length.
    """
    length = checkpoint.settings.max_length
    random = np.random.default_rng(checkpoint.settings.seed)
    empty = np.zeros(0, dtype=np.int64)
    inputs = [encode_known(empty, empty, empty, max_length=length)]
    inputs += [_real(data, checkpoint, user) for user in _users(data)]
    inputs += [_random(len(checkpoint.product_ids), length, random) for _ in range(RANDOM)]
    items, actions, gaps = (np.stack(part) for part in zip(*inputs, strict=True))
    return items, actions, gaps


def _users(data: Prepared) -> list[int]:
    """Users spread over all of them; some twice where there are few."""
    spread = np.linspace(0, len(data.ids.users) - 1, REAL)
    return [int(user) for user in spread]


def _real(data: Prepared, checkpoint: Checkpoint, user: int) -> ModelInput:
    codes = np.searchsorted(data.ids.items, checkpoint.product_ids)
    index = vocabulary_index(data.ids, codes)
    rows = np.flatnonzero((data.users == user) & (data.parts < HELD_OUT) & (index[data.items] > 0))
    rows = rows[-checkpoint.settings.max_length :]
    items, actions, at = index[data.items[rows]], data.actions[rows], data.at[rows]
    return encode_known(items, actions, at, max_length=checkpoint.settings.max_length)


def _random(products: int, length: int, random: np.random.Generator) -> ModelInput:
    number = int(random.integers(1, length + 1))
    items = random.integers(1, products + 1, number)
    actions = random.integers(1, len(ACTIONS), number)
    seconds = np.exp2(random.uniform(0, GAP_BUCKETS, number)).astype(np.int64)
    at = np.cumsum(seconds) * 1_000_000
    return encode_known(items, actions, at, max_length=length)
