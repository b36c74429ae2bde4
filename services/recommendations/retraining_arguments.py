"""What ``models retrain`` and ``models advance`` can be told."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from services.recommendations.domain.next_step import Terms

ARCHIVE: Final = "ATTUNE_ARCHIVE_ROOT"
MASTER_KEY_FILE: Final = "ATTUNE_ARCHIVE_MASTER_KEY_FILE"
STEP_HOURS: Final = 12.0
FRESH_HOURS: Final = 48.0

RETRAIN: Final = """\
One round of retraining, for a scheduler: from the archive to a bundle in the shadow.

  prepare    what the archive has of the shop, as of now
  train      a model of it
  export     the model as a bundle
  gate       hold it to the bundle that is served now, on the held-out days
  publish    put it into the registry
  shadow     have its answers computed beside those that are given

The first four are commands of model_export, in processes of their own; it must be installed here. A
bundle that the gate refuses leaves all as it is. While something is on trial nothing is begun. The
round of a shop that was killed goes on where it was, in the same folder; one at a time."""

RETRAIN_EXAMPLES: Final = """\
Status 0: it is on trial, or there is nothing to do. 1: not finished, run it again. 2: refused.
The file last.json in the shop's folder says how the last round ended.

examples:
  python -m services.recommendations models retrain --shop demo --work /srv/retraining
  python -m services.recommendations models retrain --shop demo --work /srv/retraining \\
      --prepare '--items products.jsonl --holdout-days 14' --train '--epochs 12'"""

ADVANCE: Final = """\
Looks once at what retraining has on trial, and takes the next step if it is time: from the shadow
to a canary, from the canary to all shoppers, or to the end of the trial. What is so stands in the
registry, so it may run as often as you like, by several at once, and be killed. A trial that a
person has begun or changed is that person's, and is left alone. A bundle is judged by:

  in the shadow   time, how many answers were compared, what failed, was late or other than usual
  as canary       time, the guards of the servers, and clicks as attribution counts them"""

ADVANCE_EXAMPLES: Final = """\
Status 0: done, or it is not time yet. 1: not now, run it again. 2: refused.

examples:
  python -m services.recommendations models advance --shop demo
  python -m services.recommendations models advance --shop demo --shadow-hours 12 --share 0.1"""


def add_retrain(step: argparse.ArgumentParser, environ: Mapping[str, str]) -> None:
    """Add the options of a round."""
    _told_or_known(step, environ, "--archive", ARCHIVE, "the archive's root")
    _told_or_known(step, environ, "--master-key-file", MASTER_KEY_FILE, "opens the archive")
    step.add_argument(
        "--work",
        type=Path,
        required=True,
        metavar="FOLDER",
        help="where rounds work, each shop in a folder of its own; keep it, and a round that was "
        "killed goes on",
    )
    for name in ("prepare", "train", "export", "gate"):
        command = "promote" if name == "gate" else name
        step.add_argument(
            f"--{name}",
            default="",
            metavar="OPTIONS",
            help=f"further options of model_export {command}, as one word",
        )
    step.add_argument(
        "--sample", type=float, default=0.1, help="share of the answers to compare (default: 0.1)"
    )
    for option, default, text in (
        ("--step-hours", STEP_HOURS, "what a step may take before it is ended"),
        ("--fresh-hours", FRESH_HOURS, "a round that was begun longer ago begins anew"),
    ):
        step.add_argument(
            option, type=float, default=default, help=f"{text} (default: {default:g})"
        )


def add_advance(step: argparse.ArgumentParser) -> None:
    """Add the options of a look."""
    described = msgspec.json.schema(Terms)["$defs"]["Terms"]["properties"]
    for field in msgspec.structs.fields(Terms):
        step.add_argument(
            f"--{field.name.replace('_', '-')}",
            type=type(field.default),
            metavar="INT" if isinstance(field.default, int) else "FLOAT",
            default=field.default,
            help=f"{described[field.name]['description']} (default: {field.default:g})",
        )
    counted = step.add_mutually_exclusive_group()
    counted.add_argument(
        "--clicks",
        type=Path,
        metavar="FILE",
        help="what was clicked, as 'judge' takes it (default: asks attribution, which needs "
        "ATTUNE_ATTRIBUTION_REDIS_URL)",
    )
    counted.add_argument(
        "--without-clicks", action="store_true", help="go by time and the servers' guards alone"
    )


def _told_or_known(
    step: argparse.ArgumentParser, environ: Mapping[str, str], option: str, name: str, what: str
) -> None:
    known = environ.get(name, "")
    step.add_argument(option, default=known, required=not known, help=f"{what} (default: {name})")
