"""``settings.json`` of a model bundle: how inputs must be encoded, and how scores are blended."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from services.shared.bundle_files import read_json
from services.shared.errors import BundleRefused
from services.shared.model_input import ACTIONS, GAP_BUCKETS, TARGET_NAMES

Size = Annotated[int, Meta(ge=1, le=10_000)]
Weight = Annotated[float, Meta(ge=-1e6, le=1e6)]

TOLERANCE: Final = 1e-6
"""How far the sum of ``wanted`` may be from 1: decimals round."""


class Blend(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is added to query · vector, see :mod:`services.shared.scores`."""

    neighbours: Weight = 0.0
    """Weight of the likeness to the products of the history; 0 where the bundle has none."""
    decay: Annotated[float, Meta(gt=0, le=1)] = 1.0
    """What an interaction counts in it beside the one after; 1: all count the same."""
    repeat: Weight = 0.0
    """Weight of the repeat-purchase table; 0 where the bundle has none."""


class ModelSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How inputs must be encoded for this model, and its scores made."""

    max_length: Size
    """Newest interactions that the encoder reads."""
    dimensions: Size
    gap_buckets: int
    actions: dict[str, int]
    targets: tuple[str, ...]
    """The actions that can be foretold, in the order of ``wanted``."""
    wanted: tuple[float, ...]
    """How much each target counts where nothing else is asked for; sums to 1."""
    blend: Blend = Blend()
    history: Size = 100
    """Newest interactions that the blend looks at."""
    reads: tuple[str, ...] = TARGET_NAMES
    """Which actions of a shopper are given to the model."""
    text_encoder: str = ""
    """What turns queries into vectors, where searches are read; named as in ``content.json``."""


def read_settings(path: Path) -> ModelSettings:
    """The settings of a bundle. Raises BundleRefused."""
    settings = read_json(path, ModelSettings)
    if settings.actions != ACTIONS or settings.gap_buckets != GAP_BUCKETS:
        raise BundleRefused(f"{path}: actions or gap buckets are not those of this release")
    for name in ("targets", "reads"):
        _check_names(path, name, getattr(settings, name))
    wanted = settings.wanted
    sums_up = abs(math.fsum(wanted) - 1) <= TOLERANCE
    if len(wanted) != len(settings.targets) or min(wanted) < 0 or not sums_up:
        raise BundleRefused(f"{path}: wanted must be a share of 0 to 1 for each target, 1 in all")
    if ("search" in settings.reads) != bool(settings.text_encoder):
        raise BundleRefused(f"{path}: searches are read with a text_encoder, and only then")
    return settings


def _check_names(path: Path, name: str, actions: tuple[str, ...]) -> None:
    possible = ACTIONS.keys() - {"pad"}
    if not actions or len(set(actions)) != len(actions) or not set(actions) <= possible:
        raise BundleRefused(f"{path}: {name} must be some of {sorted(possible)}, each once")
