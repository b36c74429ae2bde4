"""What training can be told, and what gives the model its shape."""

from __future__ import annotations

import msgspec


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
    """How to train. The defaults were chosen on the Complete Journey validation week."""

    dimensions: int = 64
    layers: int = 1
    heads: int = 2
    max_length: int = 100
    """How many interactions the model sees; a profile keeps 100 purchases."""
    dropout: float = 0.3
    least_interactions: int = 5
    """Items with fewer in the training part get no vector."""
    batch_size: int = 32
    negatives: int = 2048
    most_targets: int = 32
    """Of a larger basket, this many are drawn to learn from."""
    learning_rate: float = 5e-3
    """At its height, after ``warm_up`` steps; then it falls to nothing by the last epoch."""
    warm_up: int = 100
    ema: float = 0.998
    """How much of the running mean of the parameters each step keeps."""
    epochs: int = 8
    patience: int = 2
    """Stop after this many epochs without a better one."""
    seed: int = 1
    threads: int = 1

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
