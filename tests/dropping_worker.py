"""A worker whose Faust passes over events, as it may when partitions move: for a fault test.

``python -m tests.dropping_worker`` is ``python -m services.profiles``, but of each partition the
first and the third batch that were fetched are lost on their way.
"""

from __future__ import annotations

from collections import Counter

from faust.types import TP

from services.profiles.__main__ import main
from services.profiles.adapters.backlog import Backlog, Batch


def lose_batches() -> None:
    """Have every backlog of this process lose the first and third batch of each partition."""
    put, seen = Backlog.put, Counter[TP]()

    def lossy(self: Backlog, batch: Batch) -> None:
        seen[batch.tp] += 1
        if seen[batch.tp] not in (1, 3):
            put(self, batch)

    Backlog.put = lossy  # type: ignore[method-assign]  # that is the fault


if __name__ == "__main__":
    lose_batches()
    raise SystemExit(main())
