"""Which topic waits for which, and up to when a partition is read."""

from __future__ import annotations

import pytest

from services.attribution.domain.alignment import AHEAD_MS, Reach, reached, waits

NOW = 1_000_000


@pytest.mark.parametrize(
    ("one", "other", "so"),
    [
        (Reach(NOW, True), Reach(NOW, True), False),
        (Reach(NOW + AHEAD_MS, True), Reach(NOW, True), False),
        (Reach(NOW + AHEAD_MS + 1, True), Reach(NOW, True), True),
        (Reach(NOW + AHEAD_MS + 1, False), Reach(NOW, True), True),
        (Reach(NOW + AHEAD_MS + 1, True), Reach(NOW, False), False),
        (Reach(NOW, True), Reach(0, True), True),
        (Reach(0, True), Reach(0, True), False),
    ],
)
def test_who_waits(one: Reach, other: Reach, so: bool) -> None:
    """Who is over a minute ahead of a topic that has more; never both."""
    assert waits(one, other) is so
    assert not (waits(one, other) and waits(other, one))


@pytest.mark.parametrize(
    ("log", "events", "upto"),
    [
        (Reach(5, False), Reach(7, False), NOW),
        (Reach(5, True), Reach(7, False), 5),
        (Reach(5, True), Reach(4, True), 4),
        (Reach(0, True), Reach(7, False), 0),
    ],
)
def test_up_to_when_all_is_read(log: Reach, events: Reach, upto: int) -> None:
    """The present where both are read to their ends, else the slower one's last record."""
    assert reached(log, events, NOW) == upto
