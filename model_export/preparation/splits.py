"""Which rows train, which validate and which are held out.

*By time*, honest: everything before a cut trains, the weeks after it are held out, the last
days before it validate. *Leave-one-out*, comparable with papers: each user's last interaction
is held out, the last but one validates.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from model_export.dataset import DAY, HELD_OUT, TRAIN, VALIDATION
from model_export.errors import DataRefused
from services.shared.model_input import IMPRESSION, SEARCH

HOLDOUT_DAYS: Final = 28
VALIDATION_DAYS: Final = 7
NAMES: Final = ((TRAIN, "to train"), (VALIDATION, "to validate"), (HELD_OUT, "held out"))


class ByTime(NamedTuple):
    """A split of all users at the same moments, in whole days before the data's end."""

    holdout_days: int = HOLDOUT_DAYS
    validation_days: int = VALIDATION_DAYS

    @property
    def name(self) -> str:
        """As it stands in a prepared folder."""
        return "by time"

    def bounds(self, last: int) -> tuple[int, int]:
        """The first moments that validate, and that are held out."""
        cut = last - self.holdout_days * DAY
        return cut - self.validation_days * DAY + 1, cut + 1

    def parts(self, rows: pl.DataFrame, last: int) -> NDArray[np.int8]:
        """[N] the part of each row; ``last`` is the data's last moment."""
        at = rows["at"].to_numpy()
        validation_from, held_out_from = self.bounds(last)
        part = np.where(at >= validation_from, VALIDATION, TRAIN)
        return np.where(at >= held_out_from, HELD_OUT, part).astype(np.int8)

    def check(self, name: str, rows: NDArray[np.int64], first: int, last: int) -> None:
        """Raise DataRefused where one of the parts has no rows; ``rows`` is [3]."""
        for part, what in NAMES:
            if not rows[part]:
                raise DataRefused(
                    f"{name}: nothing is {what}; the data spans {(last - first) / DAY:.1f} days, "
                    f"{self.holdout_days} are held out and {self.validation_days} validate"
                )


class LeaveOneOut(NamedTuple):
    """A split of each user by place. Users with fewer than three interactions train only."""

    @property
    def name(self) -> str:
        """As it stands in a prepared folder."""
        return "leave one out"

    def bounds(self, last: int) -> tuple[int, int]:
        """No moment parts anything."""
        del last
        return 0, 0

    def parts(self, rows: pl.DataFrame, last: int) -> NDArray[np.int8]:
        """[N] the part of each row: of users in order, each with their rows in order.

        What is held out is an interaction with a product; a search or an impression belongs
        to the part of what came before it.
        """
        del last
        users = rows["user"].to_numpy()
        targets = np.flatnonzero(~np.isin(rows["action"].to_numpy(), (SEARCH, IMPRESSION)))
        of = users[targets]
        stops = np.flatnonzero(np.diff(of, append=-1)) + 1
        chosen = stops[np.diff(stops, prepend=0) >= 3]
        steps = np.zeros(len(users) + 1, dtype=np.int8)
        steps[targets[chosen - 2]] += VALIDATION - TRAIN
        steps[targets[chosen - 1]] += HELD_OUT - VALIDATION
        steps[np.searchsorted(users, of[chosen - 1], side="right")] += TRAIN - HELD_OUT
        parts: NDArray[np.int8] = np.cumsum(steps[:-1], dtype=np.int8)
        return parts

    def check(self, name: str, rows: NDArray[np.int64], first: int, last: int) -> None:
        """Raise DataRefused where nothing is held out; ``rows`` is [3]."""
        del first, last
        if not rows[HELD_OUT]:
            raise DataRefused(f"{name}: no user has 3 or more interactions with products")


Split = ByTime | LeaveOneOut
