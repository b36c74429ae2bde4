"""What each phase of a training computes, as a few numbers that take time in proportion.

The numbers come from reading the code; how long one of each takes is a machine's constant
(:mod:`model_export.planning.machine`), found by non-negative least squares
(:mod:`model_export.planning.calibrate`): no work can take less than no time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from model_export.planning.workload import Workload
from model_export.training.initial import ITERATIONS, MOST_PAIRS, OVERSAMPLED

CACHE: Final = 16_000_000
"""Bytes; an orthogonal basis that is larger is made from memory, at half the speed."""

Terms = Mapping[str, float]


def step(work: Workload) -> Terms:
    """One step: forward, backward, Adam, the running mean."""
    shape, batch, k = work.shape, work.step, work.negatives
    scores = batch.queries * k
    known = batch.rows * shape.max_length + k + batch.pairs
    content = known * (work.features + shape.text) * shape.dimensions
    multiplied = batch.rows * _multiplied(work, batch.asked) + scores * shape.dimensions + content
    return {
        "start": 1,
        "parameter": work.parameters,
        "multiplication": multiplied,
        "attention cell": batch.rows * _cells(work, batch.asked),
        "score": scores,
    }


def _multiplied(work: Workload, asked: float) -> float:
    """Multiplications of one row's L places, ``asked`` of which are; the layers' matrices.

    The last layer of the causal encoder computes keys and values for all places and the
    rest for the asked ones; the encoder-decoder computes everything for all places.
    """
    shape = work.shape
    length, square, wide = shape.max_length, shape.dimensions**2, 2 * shape.feed_forward
    if shape.kind == "encoder-decoder":
        return (
            shape.layers * length * (3 * length * 2 * shape.dimensions + (12 + 2 * wide) * square)
        )
    looked = 2 * length * shape.dimensions
    earlier = (shape.layers - 1) * length * (looked + (6 + wide) * square)
    last = 2 * length * square + asked * (looked + (4 + wide) * square)
    return earlier + last + shape.recall * (length * square + asked * (looked + square))


def _cells(work: Workload, asked: float) -> float:
    """Pairs of places that one row's heads score; what blocks and biases them is one more."""
    shape = work.shape
    length, heads = shape.max_length, shape.heads + 1
    if shape.kind == "encoder-decoder":
        return 3 * shape.layers * length**2 * heads
    return length * ((shape.layers - 1) * length * heads + asked * (heads + shape.recall))


def prepare(work: Workload) -> Terms:
    """One epoch's histories, shuffled, cut and packed, and the state that is saved at its end."""
    return {"start": 1, "row": work.learned, "parameter": work.parameters}


def begin(work: Workload) -> Terms:
    """Reading, figures, the first item vectors, the validation baskets encoded."""
    width = work.shape.dimensions + OVERSAMPLED
    products = 2 * ITERATIONS + 1
    far = max(0.0, work.shape.products - CACHE / (8 * width))
    return {
        "row or id": work.rows + work.ids,
        "pair": products * min(work.interactions, MOST_PAIRS) * width,
        "component": (ITERATIONS * work.shape.products + work.ids) * width**2,
        "component beyond the cache": ITERATIONS * far * width**2,
        "case": work.cases,
    }


def validate(work: Workload) -> Terms:
    """The validation baskets, foretold once."""
    shape = work.shape
    scored = work.cases * shape.products
    content = shape.products * (work.features + shape.text) * shape.dimensions
    return {
        "case": work.cases,
        "score": scored,
        "multiplication": work.cases * _multiplied(work, 1.0) + scored * shape.dimensions + content,
    }


PHASES: Final[Mapping[str, Callable[[Workload], Terms]]] = {
    "begin": begin,
    "prepare": prepare,
    "step": step,
    "validate": validate,
}
