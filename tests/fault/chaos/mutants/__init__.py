"""Workers that are wrong on purpose: the stories must find each of them out.

Each module is started in place of the worker, ``python -m tests.fault.chaos.mutants.NAME``.
"""

MUTANTS: dict[str, tuple[str, ...]] = {
    "commits_first": ("redis_still", "redis_full", "worker_killed"),
    "writes_regardless": ("zombie_in_the_middle",),
    "counts_regardless": ("redis_still", "worker_killed", "zombie_in_the_middle"),
    "drops_on_rebalance": ("worker_comes_and_goes", "worker_killed"),
    "never_rewinds": ("redis_behind",),
}
"""The faults that each of them does not bear."""
