"""Who was silent for longer than profiles are kept begins anew, as in Redis."""

from __future__ import annotations

from collections.abc import Iterable

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.profiles.domain.silence import NOBODY, Known, Silences

DAY = 86_400_000_000
KEPT = 3 * DAY
PERSONS = (1, 2, 2**64 - 1)


def frame(events: Iterable[tuple[int, int]]) -> pl.DataFrame:
    return pl.DataFrame(list(events), {"person": pl.UInt64, "at": pl.Int64}, orient="row")


def added(events: list[tuple[int, int]], slices: int = 1) -> Silences:
    """Events of some persons, added by day, each day in so many frames."""
    silences = Silences(KEPT)
    for day in sorted({at // DAY for _, at in events}):
        todays = [event for event in events if event[1] // DAY == day]
        silences.add_day([frame(todays[part::slices]) for part in range(slices)])
    return silences


def slow(moments: list[int]) -> Known:
    """The obvious way: a clock that forgets."""
    since = last = None
    for at in sorted(moments):
        if last is None or at - last > KEPT:
            since = at
        last = at
    return NOBODY if since is None or last is None else Known(since, last)


@given(
    st.lists(st.tuples(st.sampled_from(PERSONS), st.integers(0, 40 * DAY)), max_size=60),
    st.integers(1, 4),
)
def test_as_a_clock_would_forget(events: list[tuple[int, int]], slices: int) -> None:
    """Whatever the order within a day, and however the day is cut."""
    silences = added(events, slices)
    for person in PERSONS:
        assert silences.of(person) == slow([at for who, at in events if who == person])


@pytest.mark.parametrize(("silent", "since"), [(KEPT, 0), (KEPT + 1, KEPT + 1)])
def test_to_the_microsecond(silent: int, since: int) -> None:
    """Exactly as long as a profile is kept is not yet longer."""
    assert added([(1, 0), (1, silent)]).of(1) == Known(since, silent)


def test_nobody() -> None:
    assert Silences(KEPT).of(7) == NOBODY
    assert added([(1, 0)]).of(7) == NOBODY
