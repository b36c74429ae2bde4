"""What training can be told, and what gives the model its shape."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, TypeVar

import msgspec
from msgspec import Meta

from services.shared.errors import BadSetting

T = TypeVar("T")

Share = Annotated[float, Meta(ge=0, lt=1)]
Count = Annotated[int, Meta(ge=1, le=1_000_000)]

DERIVED: Final = frozenset(
    {"dimensions", "max_length", "id_dropout", "recall", "batch_rows", "epochs"}
)
"""What :mod:`model_export.training.rules` derives from the data where nobody says it."""


CODES_ABOVE: Final = 100_000
"""Of more products the vectors become codes, unless training is told otherwise: from there on
the whole table no longer fits a server's caches."""


class Architecture(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything that gives the parameters their shapes."""

    kind: Literal["causal", "encoder-decoder"]
    products: int
    """Without padding."""
    features: int
    """How many categories, brands and so on are told apart; 0 where nothing is known."""
    text: int
    """Numbers in a text vector; 0 where there are none."""
    dimensions: int
    layers: int
    heads: int
    feed_forward: int
    max_length: int
    dropout: float
    id_dropout: float
    temperature: float
    recall: bool
    codes: int = 0
    """Bytes of a product's code; 0 where each product has a vector of its own."""


class TrainSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How to train; the text beside each is what ``train --help`` shows.

    What a run is not told is derived from the data by :mod:`model_export.training.rules`;
    the values here are those of a middling shop. Raises ValueError where the heads cannot
    share the dimensions.
    """

    architecture: Annotated[
        Literal["causal", "encoder-decoder"],
        Meta(description="causal, or encoder-decoder: history as source, session as target"),
    ] = "causal"
    dimensions: Annotated[
        int, Meta(ge=1, le=4096, description="numbers in an item's vector and in a query")
    ] = 64
    layers: Annotated[int, Meta(ge=1, le=64, description="Transformer layers")] = 1
    heads: Annotated[
        int, Meta(ge=1, le=256, description="attention heads; they share the dimensions")
    ] = 2
    feed_forward: Annotated[
        int, Meta(ge=1, le=16, description="how many times wider a layer's hidden part is")
    ] = 2
    max_length: Annotated[
        int,
        Meta(
            ge=2,
            le=10_000,
            description="newest interactions that the model sees; a profile keeps 100 purchases",
        ),
    ] = 50
    dropout: Annotated[Share, Meta(description="share of numbers that a step leaves out")] = 0.4
    id_dropout: Annotated[
        Share,
        Meta(description="how often a product is known by its content only, while training"),
    ] = 0.1
    temperature: Annotated[
        float, Meta(gt=0, le=10, description="what cosines are divided by before the softmax")
    ] = 0.1
    recall: Annotated[
        bool, Meta(description="a head that points back at what the shopper had before")
    ] = False
    least_interactions: Annotated[
        Count, Meta(description="items with fewer in the training part get no id of their own")
    ] = 1
    batch_rows: Annotated[
        Count, Meta(description="rows of histories that one step learns from")
    ] = 32
    negatives: Annotated[
        Count, Meta(description="products drawn for a step, to tell the bought ones from")
    ] = 1024
    most_targets: Annotated[
        Count, Meta(description="of a larger basket, so many lines are drawn to learn from")
    ] = 32
    learning_rate: Annotated[
        float,
        Meta(gt=0, le=1, description="at its height; it falls to nothing by the last epoch"),
    ] = 6e-3
    warm_up: Annotated[
        Count, Meta(description="steps until the learning rate is at its height")
    ] = 50
    ema: Annotated[
        Share,
        Meta(description="how much of the running mean of the parameters each step keeps"),
    ] = 0.99
    epochs: Annotated[
        int, Meta(ge=1, le=10_000, description="how often every history is seen, at most")
    ] = 25
    patience: Annotated[
        Count, Meta(description="stop after so many epochs without a better one")
    ] = 10
    refit: Annotated[
        bool,
        Meta(
            description="once the best epoch is known, train so long again with the validation "
            "part included"
        ),
    ] = False
    codes_above: Annotated[
        int,
        Meta(
            ge=1,
            le=1_000_000_000,
            description="of more products the vectors become codes, 20 bytes for 128, and "
            "learn on as such",
        ),
    ] = CODES_ABOVE
    seed: Annotated[int, Meta(ge=0, lt=2**32, description="where all random numbers come from")] = 1
    threads: Annotated[
        int, Meta(ge=1, le=1024, description="processor threads; another number rounds differently")
    ] = 1

    def __post_init__(self) -> None:
        if self.dimensions % self.heads:
            raise ValueError(f"{self.heads} heads cannot share {self.dimensions} dimensions evenly")

    def shape(self, *, products: int, features: int, text: int) -> Architecture:
        """The shape of a model of ``products`` with content of these sizes."""
        return Architecture(
            kind=self.architecture,
            products=products,
            features=features,
            text=text,
            dimensions=self.dimensions,
            layers=self.layers,
            heads=self.heads,
            feed_forward=self.feed_forward,
            max_length=self.max_length,
            dropout=self.dropout,
            id_dropout=self.id_dropout,
            temperature=self.temperature,
            recall=self.recall,
        )


def train_settings(told: Mapping[str, Any]) -> TrainSettings:
    """Settings by name. Raises BadSetting with the option and what it may be."""
    return checked(told, TrainSettings)


def checked(told: Mapping[str, Any], kind: type[T]) -> T:
    """The same for settings of any ``kind`` of struct."""
    try:
        return msgspec.convert(told, kind)
    except msgspec.ValidationError as error:
        what, _, path = str(error).partition(" - at `$.")
        option = f"--{path.rstrip('`').replace('_', '-')}: " if path else ""
        raise BadSetting(option + what) from error
