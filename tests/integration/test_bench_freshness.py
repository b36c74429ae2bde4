"""``make bench-freshness`` looks for every event that it sends, in all places."""

from __future__ import annotations

from tests.bench.freshness.__main__ import RATES, Size, rows, run


async def test_every_event_is_found_in_its_profile_and_by_the_control() -> None:
    """One second at each rate; nothing was there before it was sent."""
    done = await run(Size(runs=1, seconds=1, newcomers=2))
    assert len(done.newcomers) == 2
    for rate in RATES:
        steady = done.steady[rate]
        assert len(steady.control) == len(steady.profile) == rate
        assert len(steady.answer) == 20
        assert min(*steady.control, *steady.profile, *steady.answer) > 0
    assert all(row.spread[0] == row.value for row in rows([done]))
