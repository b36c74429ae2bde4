"""Who was silent for longer than profiles are kept, and is therefore known only from then on.

A profile expires when its shopper has done nothing for the shop's retention; what a shopper does
after that begins a new one. The worker gets this from Redis' clock; a rebuild, which sees years
at once, has to find the silences by itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

NEVER: Final = 2**62
"""A moment that does not come."""


class Known(NamedTuple):
    """From when on a shopper is known, and when the last event came; microseconds since 1970."""

    since: int
    last: int


NOBODY: Final = Known(NEVER, 0)

_EMPTY: Final = {"person": pl.UInt64, "since": pl.Int64, "last": pl.Int64}


class Silences:
    """The shoppers of all days that were added, in 24 bytes each.

    A shopper is a keyed hash of 64 bits: with a hundred million of them two have the same one
    with a chance of one in 3,700; each would be known since the more recent of both.
    """

    def __init__(self, retention_micros: int) -> None:
        """``retention_micros``: at least a day."""
        self._retention = retention_micros
        self._known = pl.DataFrame(schema=_EMPTY)
        self._persons: npt.NDArray[np.uint64] | None = None

    def add_day(self, days_events: Iterable[pl.DataFrame]) -> None:
        """Take in a day that follows all days before: frames of ``person`` and ``at``.

        A silence within one day is none, so of each shopper the first and the last event count.
        """
        frames = [frame.select("person", "at") for frame in days_events if len(frame)]
        if not frames:
            return
        day = pl.concat(frames).group_by("person").agg(first=pl.min("at"), latest=pl.max("at"))
        both = self._known.join(day, on="person", how="full", coalesce=True)
        begins = (pl.col("first") - pl.col("last") > self._retention).fill_null(True)
        came = pl.col("first").is_not_null()
        self._known = both.select(
            "person",
            pl.when(came & begins).then("first").otherwise("since").alias("since"),
            pl.max_horizontal("last", "latest").alias("last"),
        )
        self._persons = None

    def of(self, person: int) -> Known:
        """What is known of a shopper, by the same hash; NOBODY if none came."""
        if self._persons is None:
            self._known = self._known.sort("person")
            self._persons = self._known["person"].to_numpy()
            self._since = self._known["since"].to_numpy()
            self._last = self._known["last"].to_numpy()
        at = int(np.searchsorted(self._persons, np.uint64(person)))
        if at == len(self._persons) or int(self._persons[at]) != person:
            return NOBODY
        return Known(int(self._since[at]), int(self._last[at]))
