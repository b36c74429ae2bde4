"""What ``make bench-cold-start`` publishes of what it has seen."""

from __future__ import annotations

import time

from tests.bench.cold_start.__main__ import LISTING_GATE_MS, Found, rows
from tests.bench.cold_start.asking import Late, until
from tests.bench.cold_start.listings import Listed
from tests.bench.cold_start.visitors import Visit

VISITS = [
    Visit(first, is_honest=True, told=2.0, is_session=True, personal=10.0 * first)
    for first in (1.0, 2.0, 3.0)
]
LISTINGS = [
    Listed(similar=300.0, new_for=400.0, place_similar=1, place_home=5),
    Listed(similar=None, new_for=500.0, place_similar=40, place_home=None),
]


def test_times_are_of_what_came_and_counts_are_of_all() -> None:
    """What never came is in no percentile, and is missing in the count beside it."""
    found = {row.measure: row for row in rows(Found(VISITS, LISTINGS))}
    assert found["a new visitor's first list, p50"].value == 2.0
    look = found["first look → a list that follows from it, of those who got one, p50"]
    assert look.value == 20.0
    similar = found["listed → in SimilarProducts of its twin, of those found, p99"]
    assert (similar.value, similar.spread, similar.gate) == (300.0, (300.0, 300.0), LISTING_GATE_MS)
    new_for = found["listed → by taste in what is new for a visitor, of those found, p50"]
    assert new_for.value == 450.0
    counted = [(row.value, row.unit) for row in found.values() if row.unit.startswith("of ")]
    assert counted == [*[(3, "of 3")] * 3, *[(each, "of 2") for each in (1, 2, 1, 1)]]


def test_whatever_percentiles_leave_out_a_gate_holds_to_all() -> None:
    """A listing that was never found, or a visitor without a list, is a miss to be seen."""
    missing = [*VISITS, VISITS[0]._replace(personal=None)]
    found = {row.measure: row for row in rows(Found(missing, LISTINGS))}
    held = {
        name: (row.value, row.gate)
        for name, row in found.items()
        if row.unit.startswith("of ") and row.gate is not None
    }
    assert held == {
        "visitors who got one": (3, 4),
        "listings found there": (1, 2),
        "listings found there, by taste": (2, 2),
    }


async def test_a_late_call_is_asked_again() -> None:
    """It ends neither the bench nor the wait; what never comes has no figure."""
    answers = iter([Late(), False, True])

    async def look() -> object:
        answer = next(answers)
        if isinstance(answer, Late):
            raise answer
        return answer

    assert await until(look, started=time.perf_counter(), within=60) is not None
    answers = iter([Late()])
    assert await until(look, started=time.perf_counter() - 1, within=0.5) is None
