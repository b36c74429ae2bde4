"""Inputs that a bundle carries with their outputs, so that a server can prove itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from model_export.dataset import HELD_OUT, Prepared, vocabulary_index
from model_export.training.checkpoint import Checkpoint
from services.shared.item_vectors import Floats
from services.shared.model_input import ACTIONS, GAP_BUCKETS, ModelInput, encode_known

REAL: Final = 32
RANDOM: Final = 31


class Inputs(NamedTuple):
    """G inputs of length L, as :class:`services.shared.golden.Golden` has them."""

    items: NDArray[np.int32]
    actions: NDArray[np.int64]
    gaps: NDArray[np.int64]
    wanted: Floats


def golden_inputs(data: Prepared, checkpoint: Checkpoint, wanted: Sequence[float]) -> Inputs:
    """64 inputs: no history, real ones, and random ones.

    Real histories, asked for what is ``wanted`` by default, show what servers will see; random
    ones reach every action, gap, length and mixture of wanted actions.
    """
    length = checkpoint.settings.max_length
    random = np.random.default_rng(checkpoint.settings.seed)
    empty = np.zeros(0, dtype=np.int64)
    inputs = [encode_known(empty, empty, empty, max_length=length)]
    inputs += [_real(data, checkpoint, user) for user in _users(data)]
    inputs += [_random(len(checkpoint.product_ids), length, random) for _ in range(RANDOM)]
    items, actions, gaps = (np.stack(part) for part in zip(*inputs, strict=True))
    asked = np.repeat(np.array([wanted], dtype=np.float32), len(inputs), axis=0)
    asked[-RANDOM:] = random.dirichlet(np.ones(len(wanted)), size=RANDOM)
    return Inputs(items, actions, gaps, asked)


def _users(data: Prepared) -> list[int]:
    """Users spread over all of them; some twice where there are few."""
    spread = np.linspace(0, len(data.ids.users) - 1, REAL)
    return [int(user) for user in spread]


def _real(data: Prepared, checkpoint: Checkpoint, user: int) -> ModelInput:
    codes = np.searchsorted(data.ids.items, checkpoint.product_ids)
    index = vocabulary_index(data.ids, codes)
    index[len(data.ids.items) :] = 0  # a search's vector is no part of a bundle
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
