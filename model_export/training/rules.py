"""Settings that nobody told, derived from figures of the data.

Rules, not a table of data sets: each says which figure it looks at and why.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil
from typing import Any, Final

from model_export.dataset import About, Interactions
from model_export.settings import TrainSettings, train_settings
from model_export.training.statistics import Statistics, statistics

REPEATED: Final = 0.02
"""From this share of repeats on, pointing back is worth a head of its own."""
STEPS: Final = 2200
"""A model of any size wants about so many steps; small data is seen more often for them."""
WIDE_FROM: Final = 50_000
"""Interactions from which on twice the dimensions are filled rather than memorized."""

FEW: Final = 8
"""Interactions a product; with fewer its own vector is learned by heart rather than known."""


def derived(data: Statistics) -> Mapping[str, Any]:
    """Values of :class:`model_export.settings.TrainSettings` by name."""
    length = min(100, max(10, 10 * ceil(data.long_history / 10)))
    rows = data.interactions / length
    batch = 32 if rows < 32 * STEPS / 4 else 64
    epochs = ceil(STEPS / max(1.0, rows / batch))
    return {
        "dimensions": 128 if data.interactions >= WIDE_FROM else 64,
        "max_length": length,
        "id_dropout": 0.75 if data.interactions < FEW * data.items else 0.1,
        "recall": data.repeats >= REPEATED,
        "batch_rows": batch,
        "epochs": min(40, max(8, epochs)),
    }


def settings_for(
    about: About,
    shards: Sequence[Interactions],
    told: Mapping[str, Any],
) -> TrainSettings:
    """What was told, and for the rest what the data says. Raises BadSetting."""
    found, _ = statistics(shards, about.ids, about.content)
    return train_settings({**derived(found), **told})
