"""What ``python -m model_export promote`` can be told."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

from model_export.gate.settings import GateSettings
from model_export.options import settings_options

PROMOTING: Final = """\
Lets CANDIDATE replace the current bundle if it is not worse on the held-out baskets of DATA:
on all of them, in each large segment, and in how long the encoder takes. The bundle that was
there is kept beside it, as NAME.previous. Where there was none, any whole bundle of DATA is put
there. Ends with status 0 if the candidate is accepted, 1 if it is refused, 2 if the two cannot
be compared.

examples:
  python -m model_export promote build/shop-new --current build/shop-bundle build/shop
  python -m model_export promote build/shop-new --current build/shop-bundle build/shop --dry-run
  python -m model_export promote build/shop-new --current build/shop-bundle build/shop \\
      --check model_export.gate.small_merchants:SmallMerchants --json"""


def promote_options(step: argparse.ArgumentParser) -> None:
    """Add the options to a parser."""
    step.add_argument("candidate", type=Path, help="the bundle that export wrote")
    step.add_argument(
        "--current",
        type=Path,
        required=True,
        metavar="FOLDER",
        help="the bundle that is served now, to be replaced",
    )
    step.add_argument(
        "data", type=Path, help="the prepared folder that the candidate was exported with"
    )
    step.add_argument(
        "--current-is-older",
        action="store_true",
        help="the current bundle is of earlier data of the same shop, and learned nothing from "
        "the days that DATA holds out",
    )
    step.add_argument(
        "--check",
        action="append",
        default=[],
        metavar="MODULE:NAME",
        help="one more check, besides those that installed packages bring (attune.gates); may "
        "stand several times",
    )
    step.add_argument("--dry-run", action="store_true", help="only tell; replace nothing")
    step.add_argument("--json", action="store_true", help="print one JSON object")
    settings_options(step, GateSettings)
