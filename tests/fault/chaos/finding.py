"""Whether the stories find out a worker that is wrong: else they would prove nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from tests.fault.chaos.mutants import MUTANTS
from tests.fault.chaos.playing import Outcome, play
from tests.fault.chaos.stage import Servers
from tests.fault.chaos.story import story

TRIES = 5
"""Moments are the machine's, so that one story may miss what another one finds."""

AMONG = range(1, 401)
"""Seeds that are looked at."""

WAVES = 1
MENDED_WITHIN = 5.0
"""A worker that is right sees within a second that Redis came back behind."""


class Found(NamedTuple):
    """What came of a wrong worker."""

    tried: int
    """Stories."""
    by: Outcome | None
    """The last of them, if that is the one which found it out."""

    def told(self) -> str:
        """In words."""
        if self.by:
            return f"seed {self.by.seed}, story {self.tried}: {self.by.words[0]}"
        return f"nothing: it came through {self.tried} stories"


def seeds_against(mutant: str) -> Iterator[int]:
    """Those whose stories have what the wrong worker does not bear, when it should hurt."""
    faults, is_met = MUTANTS[mutant]
    for seed in AMONG:
        told = story(seed, name="shop", now=datetime.now(UTC), only=faults, waves=WAVES)
        if is_met(told):
            yield seed


async def found_out(
    mutant: str, on: Servers, folder: Path, begin: Callable[[int], None] = lambda _: None
) -> Found:
    """Play stories until one is found that a wrong worker does not come through.

    ``begin`` is told each one's seed. A story that the wrong worker never came to the end of
    counts for nothing.
    """
    tried = 0
    for tried, seed in enumerate(islice(seeds_against(mutant), TRIES), start=1):
        begin(seed)
        outcome = await play(
            seed,
            on,
            folder / f"{mutant}-{seed}",
            module=f"tests.fault.chaos.mutants.{mutant}",
            only=MUTANTS[mutant].faults,
            waves=WAVES,
            mended_within=MENDED_WITHIN,
        )
        if outcome.lost or outcome.doubled:
            return Found(tried, outcome)
    return Found(tried, None)
