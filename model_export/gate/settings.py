"""What the gate can be told; the text beside each is what ``promote --help`` shows."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from model_export.evaluation.segments import LARGE

Share = Annotated[float, Meta(ge=0, lt=1)]


class GateSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much worse is too much, and how sure one must be."""

    margin: Annotated[
        Share,
        Meta(description="of the current NDCG@10, what a candidate must be shown not to lose"),
    ] = 0.05
    segment_margin: Annotated[
        Share,
        Meta(description="a loss in a segment counts from this share of its NDCG@10 on"),
    ] = 0.05
    confidence: Annotated[
        float, Meta(gt=0.5, lt=1, description="of the intervals; of all segments' together")
    ] = 0.95
    large: Annotated[
        int, Meta(ge=2, le=1_000_000, description="users from which on a segment is judged")
    ] = LARGE
    draws: Annotated[
        int, Meta(ge=100, le=100_000, description="samples of users that the bootstrap draws")
    ] = 2000
    latency_tolerance: Annotated[
        float, Meta(ge=1, le=100, description="how many times as long as now an encoding may take")
    ] = 1.1
    latency_rounds: Annotated[
        int, Meta(ge=3, le=10_000, description="rounds in which both encoders are timed")
    ] = 60
    seed: Annotated[int, Meta(ge=0, lt=2**32, description="of the bootstrap")] = 1
