"""What training can be told, and what gives the model its shape."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from services.shared.errors import BadSetting

Share = Annotated[float, Meta(ge=0, lt=1)]
Count = Annotated[int, Meta(ge=1, le=1_000_000)]


class Architecture(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything that gives the parameters their shapes."""

    products: int
    """Without padding."""
    dimensions: int
    layers: int
    heads: int
    max_length: int
    dropout: float


class TrainSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How to train; the text beside each is what ``train --help`` shows.

    The defaults were chosen on the Complete Journey validation week. Raises ValueError where
    the heads cannot share the dimensions.
    """

    dimensions: Annotated[
        int, Meta(ge=1, le=4096, description="numbers in an item's vector and in a query")
    ] = 64
    layers: Annotated[int, Meta(ge=1, le=64, description="Transformer layers")] = 1
    heads: Annotated[
        int, Meta(ge=1, le=256, description="attention heads; they share the dimensions")
    ] = 2
    max_length: Annotated[
        int,
        Meta(
            ge=2,
            le=10_000,
            description="newest interactions that the model sees; a profile keeps 100 purchases",
        ),
    ] = 100
    dropout: Annotated[Share, Meta(description="share of numbers that a step leaves out")] = 0.3
    least_interactions: Annotated[
        Count, Meta(description="items with fewer in the training part get no vector")
    ] = 5
    batch_size: Annotated[Count, Meta(description="histories that one step learns from")] = 32
    negatives: Annotated[
        Count, Meta(description="products drawn for a step, to tell the bought ones from")
    ] = 2048
    most_targets: Annotated[
        Count, Meta(description="of a larger basket, so many lines are drawn to learn from")
    ] = 32
    learning_rate: Annotated[
        float,
        Meta(gt=0, le=1, description="at its height; it falls to nothing by the last epoch"),
    ] = 5e-3
    warm_up: Annotated[
        Count, Meta(description="steps until the learning rate is at its height")
    ] = 100
    ema: Annotated[
        Share,
        Meta(description="how much of the running mean of the parameters each step keeps"),
    ] = 0.998
    epochs: Annotated[
        int, Meta(ge=1, le=10_000, description="how often every history is seen, at most")
    ] = 8
    patience: Annotated[
        Count, Meta(description="stop after so many epochs without a better one")
    ] = 2
    seed: Annotated[int, Meta(ge=0, lt=2**32, description="where all random numbers come from")] = 1
    threads: Annotated[
        int, Meta(ge=1, le=1024, description="processor threads; another number rounds differently")
    ] = 1

    def __post_init__(self) -> None:
        if self.dimensions % self.heads:
            raise ValueError(f"{self.heads} heads cannot share {self.dimensions} dimensions evenly")

    def architecture(self, products: int) -> Architecture:
        """The shape of a model of ``products``."""
        return Architecture(
            products=products,
            dimensions=self.dimensions,
            layers=self.layers,
            heads=self.heads,
            max_length=self.max_length,
            dropout=self.dropout,
        )


def train_settings(told: Mapping[str, Any]) -> TrainSettings:
    """Settings by name. Raises BadSetting with the option and what it may be."""
    try:
        return msgspec.convert(told, TrainSettings)
    except msgspec.ValidationError as error:
        what, _, path = str(error).partition(" - at `$.")
        option = f"--{path.rstrip('`').replace('_', '-')}: " if path else ""
        raise BadSetting(option + what) from error
