"""A worker that commits a batch when it begins with it."""

from __future__ import annotations

from services.profiles.__main__ import main
from services.profiles.adapters.backlog import Batch
from services.profiles.worker import Worker


def commit_first() -> None:
    """Have all workers of this process hold a batch for safe before it is folded."""
    handle = Worker._handle

    async def early(self: Worker, batch: Batch) -> None:
        first, end = batch.records[0].offset, batch.records[-1].offset + 1
        position = await self._positions.check(batch.tp, batch.generation, first)
        position.safe = max(position.safe, end)
        await handle(self, batch)

    Worker._handle = early  # type: ignore[method-assign]  # that is the mistake


if __name__ == "__main__":
    commit_first()
    raise SystemExit(main())
