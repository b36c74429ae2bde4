"""What an exposure rule brings small merchants, and costs: ``python -m tests.bench.exposure``.

Four large merchants have three fifths of 2,000 products, and all like theirs better; sixty small
ones have the rest. Shoppers call one after the other, a minute apart; what is told is of the second
half of the calls. NDCG@10 is that of purchases that follow the scores without any lift, so its loss
is what the rule costs if the model is right in all. Another seed makes another market.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence
from typing import Final

from rich.progress import track

from tests.bench.report import Row, publish
from tests.exposing import Market

PRODUCTS: Final = 2_000
CALLS: Final = 5_000
QUICK_CALLS: Final = 1_000
SEEDS: Final = (1, 2, 3)
STRENGTHS: Final = (0.0, 0.1, 0.2, 0.3, 0.5, 1.0)


def main() -> None:
    """Measure, and publish."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.exposure", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer calls, coarser")
    calls = QUICK_CALLS if parser.parse_args().quick else CALLS
    markets = [Market(PRODUCTS, seed) for seed in SEEDS]
    rows = [row("small merchants' share of the catalogue", [each.share for each in markets], 100)]
    for strength in track(STRENGTHS, "strengths"):
        rows += measured(markets, strength, calls)
    publish("exposure", rows)


def measured(markets: Sequence[Market], strength: float, calls: int) -> list[Row]:
    """What one strength comes to in each market."""
    begun = time.perf_counter()
    found = [market.run(strength, calls, seed=7) for market in markets]
    taken = (time.perf_counter() - begun) / len(markets) / calls
    told = f"strength {strength:g}"
    return [
        row(f"{told}: their share of what is shown", [each.exposure for each in found], 100),
        row(f"{told}: NDCG@10 lost", [1 - each.ndcg for each in found], 100),
        row(f"{told}: small merchants never shown", [each.never for each in found], 1, ""),
        row(f"{told}: a call of this simulation", [taken], 1e6, "us"),
    ]


def row(measure: str, values: Sequence[float], times: float, unit: str = "%") -> Row:
    """The median over the markets, with the least and the greatest."""
    scaled = [value * times for value in values]
    return Row(measure, statistics.median(scaled), unit, (min(scaled), max(scaled)))


if __name__ == "__main__":
    main()
