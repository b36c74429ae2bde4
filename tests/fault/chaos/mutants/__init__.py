"""Workers that are wrong on purpose: the stories must find each of them out.

Each module is started in place of the worker, ``python -m tests.fault.chaos.mutants.NAME``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from math import inf
from typing import NamedTuple

from tests.fault.chaos.story import Fault, Story, Wave

REACHED = 0.25
"""After so many seconds without Redis a worker has a batch in hand that it cannot write."""

MOVED = 1.0
"""After so many seconds the others have what a worker had that left its group."""


class Mistake(NamedTuple):
    """What a wrong worker does not bear."""

    faults: Sequence[str]
    """The kinds of them that stories against it have."""
    is_met: Callable[[Story], bool]
    """Whether they strike when they should hurt it; most strike when it has nothing to do."""


def _in_the_flow(kind: str, *, for_seconds: float) -> Callable[[Story], bool]:
    """Such a fault strikes, and records are sent for so long afterwards."""
    return lambda told: any(
        fault.kind == kind and wave.flows_on(fault) >= for_seconds
        for wave in told.waves
        for fault in wave.faults
    )


def _partitions_move(told: Story) -> bool:
    """A worker ends and leaves its group, and for a while another one goes on alone."""
    return not told.static and any(map(_ends_first, told.waves))


def _ends_first(wave: Wave) -> bool:
    first, *later = _in_order(wave)
    alone_until = min(map(wave.strikes_at, later), default=inf)
    goes_on = min(wave.flows_on(first), alone_until - wave.strikes_at(first))
    return first.kind == "worker_ended" and goes_on >= MOVED


def _without_redis(told: Story) -> bool:
    """A worker is killed while Redis does not take what it has in hand."""
    return any(map(_killed_without_redis, told.waves))


def _killed_without_redis(wave: Wave) -> bool:
    at = wave.strikes_at
    return any(
        one.kind.startswith("redis")
        and following.kind == "worker_killed"
        and wave.flows_on(one) > 0
        and at(one) + REACHED <= at(following) <= at(one) + one.lasts
        for one, following in pairwise(_in_order(wave))
    )


def _in_order(wave: Wave) -> list[Fault]:
    return sorted(wave.faults, key=lambda fault: fault.after)


MUTANTS: dict[str, Mistake] = {
    "commits_first": Mistake(("redis_still", "redis_full", "worker_killed"), _without_redis),
    "writes_regardless": Mistake(
        ("zombie_in_the_middle",), _in_the_flow("zombie_in_the_middle", for_seconds=1.0)
    ),
    "counts_regardless": Mistake(
        ("zombie_in_the_middle",), _in_the_flow("zombie_in_the_middle", for_seconds=1.0)
    ),
    "drops_on_rebalance": Mistake(("worker_ended",), _partitions_move),
    "never_rewinds": Mistake(("redis_behind",), _in_the_flow("redis_behind", for_seconds=0.5)),
}
