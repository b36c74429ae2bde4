"""Workers that are wrong on purpose: the stories must find each of them out.

Each module is started in place of the worker, ``python -m tests.fault.chaos.mutants.NAME``.
"""

MUTANTS = (
    "commits_first",
    "writes_regardless",
    "counts_regardless",
    "drops_on_rebalance",
    "never_rewinds",
)
