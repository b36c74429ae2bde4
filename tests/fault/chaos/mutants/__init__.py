"""Workers that are wrong on purpose: the stories must find each of them out.

Each module is started in place of the worker, ``python -m tests.fault.chaos.mutants.NAME``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple

from tests.fault.chaos.story import Wave

REACHED = 0.25
"""After so many seconds without Redis a worker has a batch in hand that it cannot write."""


class Mistake(NamedTuple):
    """What a wrong worker does not bear."""

    faults: Sequence[str]
    """The kinds of them that stories against it have."""
    is_met: Callable[[Wave], bool]
    """Whether they strike when they should hurt it; most strike when it has nothing to do."""


def _in_the_flow(kind: str, *, for_seconds: float) -> Callable[[Wave], bool]:
    """Such a fault strikes, and records are sent for so long afterwards."""
    return lambda wave: any(
        fault.kind == kind and wave.flows_on(fault) >= for_seconds for fault in wave.faults
    )


def _killed_without_redis(wave: Wave) -> bool:
    """A worker is killed while Redis does not take what it has in hand."""
    at = wave.strikes_at
    return any(
        one.kind.startswith("redis")
        and following.kind == "worker_killed"
        and wave.flows_on(one) > 0
        and at(one) + REACHED <= at(following) <= at(one) + one.lasts
        for one, following in pairwise(sorted(wave.faults, key=lambda fault: fault.after))
    )


MUTANTS: dict[str, Mistake] = {
    "commits_first": Mistake(("redis_still", "redis_full", "worker_killed"), _killed_without_redis),
    "writes_regardless": Mistake(
        ("zombie_in_the_middle",), _in_the_flow("zombie_in_the_middle", for_seconds=1.0)
    ),
    "counts_regardless": Mistake(
        ("zombie_in_the_middle",), _in_the_flow("zombie_in_the_middle", for_seconds=1.0)
    ),
    "drops_on_rebalance": Mistake(("worker_ended",), _in_the_flow("worker_ended", for_seconds=1.0)),
    "never_rewinds": Mistake(("redis_behind",), _in_the_flow("redis_behind", for_seconds=0.5)),
}
