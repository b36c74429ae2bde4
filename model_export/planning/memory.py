"""How much memory a training holds at its height, and what it leaves on disk; counted in bytes.

Read off the code: which arrays stand at the same time, and how wide a number in each is.
"""

from __future__ import annotations

from typing import Final

import msgspec

from model_export.planning.workload import Workload
from model_export.training.initial import MOST_PAIRS, OVERSAMPLED
from model_export.training.quantize import bytes_for
from model_export.training.validation import CHUNK
from services.shared.product_codes import CENTROIDS

SINGLE: Final = 4
"""Bytes of a float32,"""
DOUBLE: Final = 8
"""and of a float64 or int64."""

ROW: Final = 22
"""Of an interaction in a shard: three int32 of 4, an int64 of 8, two int8."""
ID: Final = 110
"""Of an id as text, with its places in lists."""
ID_ON_DISK: Final = 12
"""Of one in the vocabulary."""
PAIR: Final = 64
"""Of a pair of user and item while the sparse matrix is made: codes, their order, the result."""
HISTORY: Final = (45, 30)
"""Of a learned interaction while an epoch is packed, and afterwards."""
PLACE: Final = (85, 34)
"""Of a place of a packed row while it is packed, and afterwards: four int64 stay."""
COPIES: Final = 7
"""Of each parameter: it, its gradient, Adam's two, the running mean, the best, a better one."""
LAYER: Final = (24, 10)
"""Arrays [B,L,d] of one layer and what is around it: with gradients, and without."""
CELL: Final = 40
"""Of a pair of places: scores, bias and softmax, and the time between in doubles."""


class Memory(msgspec.Struct, frozen=True):
    """Bytes."""

    base: int
    """Python, torch and what else is loaded,"""
    data: int
    """ids, one shard and what is known of the items,"""
    model: int
    """parameters with all that training keeps beside each,"""
    height: int
    """and the most that one phase needs besides,"""
    phase: str
    """which is this one."""

    @property
    def peak(self) -> int:
        """All of it."""
        return self.base + self.data + self.model + self.height


def memory(work: Workload, base: int) -> Memory:
    """What a training of this size holds where one of next to nothing holds ``base``."""
    phases = {
        "first item vectors": _begin(work),
        "packing": _epoch(work, 0),
        "steps": _epoch(work, 1) + _step(work),
        "validation": _judge(work),
    }
    highest = max(phases, key=phases.__getitem__)
    content = work.item_rows * (SINGLE * work.features + 2 * work.shape.text)
    shard = min(work.rows, work.rows // work.shards + 1)
    cases = work.cases * work.shape.max_length * 3 * DOUBLE
    return Memory(
        base=base,
        data=int(ID * work.ids + ROW * shard + content * 5 + cases),
        model=COPIES * SINGLE * work.parameters,
        height=int(phases[highest]),
        phase=highest,
    )


def bundle_bytes(work: Workload) -> int:
    """About so large is the bundle: vectors or codes, ids, popularity, the graph.

    A blended table of neighbours, where one is wished for, is not in it.
    """
    shape = work.shape
    wide, books = 2 * shape.dimensions, 0
    if work.more:
        wide = bytes_for(shape.dimensions)
        books = wide * CENTROIDS * SINGLE * shape.dimensions
    graph = SINGLE * (work.parameters - work.table)
    return shape.products * (wide + SINGLE + ID_ON_DISK) + books + graph


def state_bytes(work: Workload) -> int:
    """What is written after each epoch so that a training can go on: five of each parameter."""
    return 5 * SINGLE * work.parameters


def _begin(work: Workload) -> float:
    """While the pairs are kept: four bases of the products, or one and three of the users."""
    width = work.shape.dimensions + OVERSAMPLED
    pairs, products = min(work.interactions, MOST_PAIRS), work.shape.products
    users = max(work.ids - products, 0) * pairs / max(work.interactions, 1)
    return PAIR * pairs + DOUBLE * width * max(4 * products, products + 3 * users)


def _epoch(work: Workload, when: int) -> float:
    places = work.packed_rows * work.shape.max_length
    return (HISTORY[when] * work.learned + PLACE[when] * places) / work.shards


def _step(work: Workload) -> float:
    shape, step = work.shape, work.step
    layers = shape.layers * (2 if shape.kind == "encoder-decoder" else 1) + 1
    places = step.rows * shape.max_length
    cells = step.rows * shape.max_length * (step.asked + (shape.layers - 1) * shape.max_length)
    known = places + work.negatives + step.pairs
    return (
        SINGLE * LAYER[0] * layers * places * shape.dimensions
        + CELL * cells * shape.heads
        + 4 * SINGLE * step.queries * work.negatives
        + 4 * SINGLE * known * (shape.dimensions + shape.text + work.features * shape.dimensions)
    )


def _judge(work: Workload) -> float:
    shape = work.shape
    scores = 2 * CHUNK * shape.products
    layers = LAYER[1] * CHUNK * shape.max_length * shape.dimensions
    return SINGLE * (scores + shape.products * shape.dimensions + layers)
