"""How much there is to compute, counted by the code that will compute it.

Nothing here is measured: a sample of the histories is cut into windows, packed and made
into batches as training does it, and a model of one product is built.
"""

from __future__ import annotations

from typing import Final

import msgspec
import numpy as np
import torch

from model_export.modelling.model import Model
from model_export.planning.facts import Facts
from model_export.settings import Architecture, TrainSettings
from model_export.training.coding import EPOCHS as CODED_EPOCHS
from model_export.training.sequences import Batch, batch_of, packed, windows

BATCHES: Final = 20
"""Of the sample that are made; their mean is taken."""


class Step(msgspec.Struct, frozen=True):
    """The mean sizes of one batch."""

    rows: float
    """B"""
    asked: float
    """Q, the places of each row that are asked, fillers included."""
    queries: float
    """M"""
    pairs: float
    """P"""


class Workload(msgspec.Struct, frozen=True):
    """Everything that time and memory depend on."""

    shape: Architecture
    step: Step
    steps: float
    """Of one epoch."""
    epochs: int
    """At most,"""
    more: int
    """so many more as codes, where the catalogue is large,"""
    refit: bool
    """and whether as many follow that learn from the validation part too."""
    packed_rows: float
    """Of one epoch; each has ``shape.max_length`` places."""
    fill: float
    """Share of the places that are not padding."""
    negatives: int
    """K, as many as there are products at most."""
    parameters: int
    table: int
    """Of these, those whose gradient is dense and of which a batch uses few: rows of tables."""
    features: int
    """Of one item at most."""
    interactions: int
    """That start the item vectors."""
    learned: int
    """Rows that an epoch packs."""
    rows: int
    shards: int
    cases: int
    ids: int
    """Users and items."""
    item_rows: int
    """Rows of the item table: padding, products, queries."""


def workload(facts: Facts, settings: TrainSettings) -> Workload:
    """What training ``facts`` with ``settings`` amounts to."""
    products = facts.items if facts.told.has_content else facts.told.items
    shape = settings.shape(products=products, features=facts.feature_names, text=facts.text)
    places, batches = _batches(facts, settings)
    many = facts.learned / len(facts.sample.items)
    rows = places[0] * many
    parameters, table = _parameters(shape)
    return Workload(
        shape=shape,
        step=Step(*np.mean(batches, axis=0).tolist()),
        steps=rows / settings.batch_rows + facts.shards / 2,
        epochs=settings.epochs,
        more=CODED_EPOCHS if products > settings.codes_above else 0,
        refit=settings.refit,
        packed_rows=rows,
        fill=places[1],
        negatives=min(settings.negatives, products),
        parameters=parameters,
        table=table,
        features=facts.features,
        interactions=facts.told.interactions,
        learned=facts.learned,
        rows=facts.rows,
        shards=facts.shards,
        cases=facts.cases,
        ids=facts.users + facts.items,
        item_rows=1 + products + facts.queries,
    )


def _parameters(shape: Architecture) -> tuple[int, int]:
    """How many numbers are learned, and how many of them are in tables of rows.

    Counted on a model of one product and one feature: the others are rows of the same.
    """
    features = min(shape.features, 1)
    small = msgspec.structs.replace(shape, products=1, features=features)
    model = Model(small, *(torch.zeros(0) for _ in range(3)))
    counted = sum(each.numel() for each in model.parameters())
    more = (shape.products - 1 + shape.features - features) * shape.dimensions
    has_tower = bool(shape.features or shape.text)
    table = (shape.products + 1 + (shape.features + 1) * has_tower) * shape.dimensions
    return counted + more, table


def _batches(
    facts: Facts, settings: TrainSettings
) -> tuple[tuple[int, float], list[tuple[int, int, int, int]]]:
    """Rows of the packed sample and how full they are; B, Q, M and P of some batches."""
    past, random = facts.sample, np.random.default_rng(1)
    found = windows(past, max_length=settings.max_length, random=random)
    rows = packed(past, found, max_length=settings.max_length, random=random)
    number, size = len(rows.items), min(settings.batch_rows, len(rows.items))
    sizes = []
    for first in range(0, number - size + 1, size)[:BATCHES]:
        batch = batch_of(past, rows, first, first + size, most_targets=settings.most_targets)
        sizes.append(_sizes(batch))
    return (number, float((rows.items > 0).mean())), sizes


def _sizes(batch: Batch) -> tuple[int, int, int, int]:
    return len(batch.items), batch.places.shape[1], len(batch.states), len(batch.targets)
