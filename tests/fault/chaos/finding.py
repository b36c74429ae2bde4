"""Whether the stories find out a worker that is wrong: else they would prove nothing."""

from __future__ import annotations

from pathlib import Path

from tests.fault.chaos.mutants import MUTANTS
from tests.fault.chaos.playing import Outcome, play
from tests.fault.chaos.stage import Servers

SEEDS = range(1, 21)
"""Moments are the machine's, so that one story may miss what another one finds."""

WAVES = 1
SETTLED_WITHIN = 10.0


async def found_out(mutant: str, on: Servers, folder: Path) -> Outcome | None:
    """The first story that a wrong worker does not come through; None if there is none.

    A story that a wrong worker never came to the end of counts for nothing.
    """
    for seed in SEEDS:
        outcome = await play(
            seed,
            on,
            folder / f"{mutant}-{seed}",
            module=f"tests.fault.chaos.mutants.{mutant}",
            only=MUTANTS[mutant],
            waves=WAVES,
            settled_within=SETTLED_WITHIN,
        )
        if outcome.lost or outcome.doubled:
            return outcome
    return None
