"""An answer: what is shown, why, and how it came about."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum, auto
from typing import NamedTuple

from services.recommendations.domain.reasons import Reason


class Source(Enum):
    """How a list was made, by the names of ``Source`` in the contract."""

    PERSONAL = auto()
    SIMILAR = auto()
    TRENDING = auto()
    POPULAR = auto()
    SESSION = auto()
    BOUGHT_TOGETHER = auto()
    BUY_AGAIN = auto()
    GIVEN = auto()


class Cause(Enum):
    """Why a list is not what it is meant to be, by the names of ``FallbackCause`` there."""

    UNSPECIFIED = auto()
    UNKNOWN_SHOPPER = auto()
    EMPTY_PROFILE = auto()
    PROFILE_UNAVAILABLE = auto()
    OUT_OF_TIME = auto()
    NOTHING_LEFT = auto()
    NOT_ASKED = auto()
    NOT_LEARNED = auto()


class Pick(NamedTuple):
    """One product of an answer."""

    row: int
    score: float
    reason: Reason | None
    """What it follows from most; None for a given product that nothing speaks for."""
    further: tuple[Reason, ...] = ()
    """What else it follows from."""


class Answer(NamedTuple):
    """A list and how it was made."""

    picks: Sequence[Pick]
    source: Source
    """Of its first products."""
    cause: Cause
    by_model: bool
    """Whether the model ordered those."""
