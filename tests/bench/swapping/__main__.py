"""What exchanging a model costs those who call meanwhile: ``make bench-swapping``.

Two bundles of made-up products take turns under a stream of calls in the same process: each reads a
history, scores all products and ranks them. The second has other products, in another order. As a
control another process loads the same bundles as often: what that costs calls is the processor's
sharing, and not the interpreter's. Beside it what was chosen against: gathering the scores into the
catalogue's rows at each call.
"""

from __future__ import annotations

import argparse
import logging
import tempfile
from pathlib import Path
from typing import Final

import structlog
import uvloop

from tests.bench import report
from tests.bench.report import Row
from tests.bench.swapping.exchanging import exchanging
from tests.bench.swapping.placing import on_trial, placing
from tests.large_bundle import Size, made

SIZES: Final = (Size("100 k vectors", 100_000, False), Size("1 M codes", 1_000_000, True))


def main() -> None:
    """Measure, and publish."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.swapping", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="100 k products, fewer exchanges")
    quick = parser.parse_args().quick
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as name:
        for size in SIZES[:1] if quick else SIZES:
            folders = [made(Path(name) / f"{size.products}-{seed}", size, seed) for seed in (0, 1)]
            rows += placing(size, folders)
            rows += uvloop.run(exchanging(size, folders, 4 if quick else 10))
    rows += on_trial()
    report.publish("swapping", rows)


if __name__ == "__main__":
    main()
