"""What the loop is worth where taste drifts: ``make bench-loop``.

Some hundred shoppers buy from a made-up shop, period by period; what goes with what drifts. Before
each period there are two models: the first one, frozen, and the one that the loop has promoted by
then. Each basket of the period is foretold by both before it is bought. The archive takes the
period, and before the next one the loop does its round: prepare from the archive, train, export,
gate, publish, shadow, canary, promote, by the commands that a scheduler calls. No server answers
here, so a trial is over at once; all else is what runs in a shop. A bundle that the gate refuses is
not served.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Final

from rich.progress import track

from tests.bench.loop.drawing import Period, draw, rows_of, table
from tests.bench.loop.foretelling import foretold
from tests.bench.loop.keeping import Keeping
from tests.bench.loop.taste import Taste
from tests.bench.report import TARGET, publish

BASKETS: Final = 4
"""Of a shopper in a period."""
BEFORE: Final = 4
"""Periods that the first model learns from."""
TRAIN: Final = "--max-length 50 --threads 1"
"""As long as each other, so that the gate's question about latency is about nothing else."""


def main() -> None:
    """Measure, and publish."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.loop", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two periods, fewer shoppers")
    parser.add_argument("--seed", type=int, default=1, help="another market (default: 1)")
    told = parser.parse_args()
    shoppers, periods, epochs = (150, 2, 4) if told.quick else (300, 8, 8)
    with tempfile.TemporaryDirectory() as folder:
        keeping = Keeping(Path(folder), f"{TRAIN} --epochs {epochs}")
        found = simulated(keeping, Taste(shoppers, told.seed), periods)
    draw(TARGET / "loop.svg", found)
    publish("loop", rows_of(found), table(found))


def simulated(keeping: Keeping, taste: Taste, periods: int) -> list[Period]:
    """All periods, one after the other."""
    for number in range(BEFORE):
        keeping.archive_period(number, taste.period(BASKETS))
        taste.drift()
    first: Path | None = None
    found = []
    for number in track(range(BEFORE, BEFORE + periods), "periods"):
        done = keeping.round()
        loop = keeping.served()
        first = first or loop
        keeping.archive_period(number, taste.period(BASKETS))
        seen = foretold(keeping, number, first, loop)
        found.append(Period(number - BEFORE + 1, *seen.intervals(), len(seen.users), done))
        taste.drift()
    return found


if __name__ == "__main__":
    main()
