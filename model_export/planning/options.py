"""What ``plan`` can be told."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

from model_export.planning.machine import MACHINES

PLANNING: Final = """\
Says before a training how long it will take, how much memory it needs, and, where a learning
curve was measured, what accuracy to expect of how much data. The figures of the data are read
from a prepared folder or told.

examples:
  python -m model_export plan --calibrate
  python -m model_export plan build/shop --epochs 12
  python -m model_export plan build/shop --learning-curve build/shop-model/learning-curve.json
  python -m model_export plan --users 1000000 --items 200000 --events 30000000 --threads 4 --json"""

FIGURES: Final = ("users", "items", "events")


def add_planning(step: argparse.ArgumentParser) -> None:
    """What ``plan`` can be told besides the settings of ``train``."""
    step.add_argument(
        "data", nargs="?", type=Path, help="a prepared folder; or tell --users, --items, --events"
    )
    step.add_argument("--users", type=int, metavar="N", help="who came three times or more")
    step.add_argument("--items", type=int, metavar="N", help="that somebody turned to")
    step.add_argument("--events", type=int, metavar="N", help="to learn from")
    step.add_argument(
        "--lines",
        type=float,
        default=1.0,
        metavar="X",
        help="events that share a moment on average: the lines of an order (default: 1)",
    )
    step.add_argument(
        "--repeats",
        type=float,
        default=0.0,
        metavar="SHARE",
        help="of events whose item the user had before (default: 0)",
    )
    step.add_argument(
        "--learning-curve", type=Path, metavar="FILE", help="what learning-curve wrote"
    )
    step.add_argument(
        "--gain",
        type=float,
        default=0.005,
        metavar="X",
        help="of NDCG@10: how much more data would bring it? (default: 0.005)",
    )
    step.add_argument(
        "--machine",
        type=Path,
        default=MACHINES,
        metavar="FILE",
        help=f"what --calibrate measured, here or on another machine (default: {MACHINES})",
    )
    step.add_argument(
        "--calibrate", action="store_true", help="measure this machine first; half a minute"
    )
    step.add_argument("--json", action="store_true", help="print one JSON object")
