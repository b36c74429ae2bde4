"""``make bench-freshness`` finds what it looks for, in all places."""

from __future__ import annotations

from tests.bench.freshness.__main__ import RATES, Size, rows, run
from tests.bench.freshness.load import LOOKED_FOR_A_SECOND


async def test_all_that_is_looked_for_is_found_in_its_profile_and_by_the_control() -> None:
    """One second at each rate; nothing was there before it was sent."""
    done = await run(Size(runs=1, seconds=1, newcomers=2, warm_seconds=1))
    assert len(done.newcomers) == 2
    for rate in RATES:
        steady = done.steady[rate]
        assert len(steady.control) == len(steady.profile) == LOOKED_FOR_A_SECOND
        assert len(steady.answer) == 20
        assert min(*steady.control, *steady.profile, *steady.answer) > 0
    assert all(row.spread[0] == row.value for row in rows([done]))
