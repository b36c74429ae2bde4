"""A worker that loses the first batch of a partition that it is given again, and goes on."""

from __future__ import annotations

from faust.types import TP

from services.profiles.__main__ import main
from services.profiles.adapters.backlog import Backlog, Batch
from services.profiles.positions import Position, Positions


def drop_on_rebalance() -> None:
    """Have backlogs of this process lose batches, and positions not look for what is missing."""
    put, generations = Backlog.put, dict[TP, int]()

    def lossy(self: Backlog, batch: Batch) -> None:
        before = generations.setdefault(batch.tp, batch.generation)
        generations[batch.tp] = batch.generation
        if batch.generation == before:
            put(self, batch)

    async def trusting(self: Positions, tp: TP, generation: int, _: int) -> Position:
        position = self._of.get(tp)
        if position is None or position.generation != generation:
            position = self._of[tp] = Position(generation, await self._begin(tp))
        return position

    Backlog.put = lossy  # type: ignore[method-assign]  # that is the mistake
    Positions.check = trusting  # type: ignore[assignment]  # as above


if __name__ == "__main__":
    drop_on_rebalance()
    raise SystemExit(main())
