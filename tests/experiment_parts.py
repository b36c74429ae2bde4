"""Experiments for tests."""

from __future__ import annotations

from typing import Any

from services.shared.experiments import Arm, Experiment, Metric


def experiment(*shares: float, **told: Any) -> Experiment:
    """Of the whole ranking layer; even arms ``control`` and ``arm-1`` where no shares are told."""
    dealt = shares or (0.5, 0.5)
    names = ["control", *(f"arm-{number}" for number in range(1, len(dealt)))]
    fields: dict[str, Any] = {
        "name": "diverse-home",
        "layer": "ranking",
        "salt": "diverse-home-1",
        "traffic": (0, 10_000),
        "arms": tuple(Arm(name=n, share=share) for n, share in zip(names, dealt, strict=True)),
        "hypothesis": "Shoppers who see more kinds of products buy more.",
        "metric": Metric(outcome="conversion"),
        "window_days": 14,
        "planned_shoppers": 20_000,
    }
    return Experiment(**(fields | told))
