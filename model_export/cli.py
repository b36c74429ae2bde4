"""What the command line can be told, with help for those who come new to it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

from model_export.evaluation.learning_curve import SHARES
from model_export.gate.options import PROMOTING, promote_options
from model_export.options import DATA, PREPARED, folder_option, settings_options
from model_export.planning.options import PLANNING, add_planning
from model_export.preparation.options import add_preparing, add_source
from model_export.settings import DERIVED, TrainSettings

CHECKPOINT: Final = Path("build/model/checkpoint")
BUNDLE: Final = Path("deploy/local/model")

OVERVIEW: Final = """\
From what shoppers did to a model bundle that the server can load:

  prepare    interactions (CSV, Parquet, …)  -> a prepared folder, split by time
  train      the prepared folder             -> a checkpoint        (needs torch)
  export     the checkpoint                  -> a model bundle      (needs torch)
  evaluate   bundle and prepared folder      -> a table beside three baselines
  verify     a bundle                        -> is it whole, and as good as it says?
  plan       a prepared folder, or figures   -> time, memory, accuracy  (needs torch)
  promote    a candidate and prepared folder -> the current bundle, or why it stays
  learning-curve                             -> how good less data makes it (needs torch)

`all` does prepare, train, learning-curve and export on the Complete Journey data, and replaces
deploy/local/model."""

FORMATS: Final = """\
The input is a table with the columns

  user_id     whose
  item_id     of what
  timestamp   when: ISO 8601 text, a date-time, or a whole number (see --time-unit)
  event_type  optional: view, click, cart, add_to_cart, purchase, search, impression or cancel;
              without it all are purchases

and as many of these as there are: query, price, quantity, order_id, session_id, event_id, title,
description, category, brand, merchant_id. Other names are told by --columns.

Or, with --format s3rec, text with one line a user: `user item item ...`, oldest first; then
each user's last item is held out and the last but one validates. Or the archive's folder
(--archive), or Kafka (--kafka), or the demo's data (--complete-journey).

What looks wrong is left out and counted; the report, printed and kept as report.md, says why.

examples:
  python -m model_export prepare --complete-journey
  python -m model_export prepare shop.csv --to build/shop --holdout-days 14
  python -m model_export prepare log.csv.gz --columns rees46 --items products.jsonl
  python -m model_export prepare shop.csv --groups ages.csv
  python -m model_export prepare --archive /srv/attune --master-key-file master-key --shop demo
  python -m model_export prepare Beauty.txt.gz --format s3rec --to build/beauty"""

TRAINING: Final = """\
examples:
  python -m model_export train
  python -m model_export train build/shop --to build/shop-model --epochs 12 --threads 4"""

EVALUATION: Final = """\
Foretells each held-out basket from all that its user did before, over the whole catalogue:
hit rate and NDCG at 10 with 95 % intervals, for all products and for those new to the user.

examples:
  python -m model_export evaluate
  python -m model_export evaluate build/shop --bundle build/shop-bundle --json
  python -m model_export evaluate Beauty.txt.gz --format s3rec
  python -m model_export evaluate Beauty.txt.gz --format s3rec --bundle build/beauty-bundle"""

EXPORTING: Final = """\
examples:
  python -m model_export export
  python -m model_export export build/shop --checkpoint build/shop-model --to build/shop-bundle"""

VERIFYING: Final = """\
Checks sums, schema, shapes and golden outputs; with data also the report's figures.

examples:
  python -m model_export verify
  python -m model_export verify --complete-journey
  python -m model_export verify build/shop-bundle --against-data build/shop"""


LEARNING: Final = """\
Trains the checkpoint's settings on growing shares of the users, and evaluates each model on the
same held-out baskets. Writes learning-curve.json and learning-curve.svg to the checkpoint's folder;
export puts them into the model card. A share that is in the file already is not measured again.

examples:
  python -m model_export learning-curve build/shop --checkpoint build/shop-model
  python -m model_export learning-curve build/shop --checkpoint build/shop-model --shares 20,100"""

MAKING: Final = f"""\
Does these commands, one after another, in the folders that are their defaults:

  prepare --complete-journey   -> {DATA}
  train --restart              -> {CHECKPOINT}, small and with few epochs
  learning-curve               -> the same folder, measured anew
  export                       -> {BUNDLE}, in the place of the one that is there

examples:
  python -m model_export all"""


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    whole = argparse.ArgumentParser(
        prog="python -m model_export",
        description=OVERVIEW,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    steps = whole.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _prepare(_step(steps, "prepare", "make a prepared folder from interactions", FORMATS))
    _train(_step(steps, "train", "train a model (needs torch)", TRAINING))
    _evaluate(_step(steps, "evaluate", "compare a bundle with its baselines", EVALUATION))
    _export(_step(steps, "export", "make a bundle of a checkpoint (needs torch)", EXPORTING))
    _verify(_step(steps, "verify", "check a bundle", VERIFYING))
    _plan(_step(steps, "plan", "say what a training will take and give", PLANNING))
    promote_options(
        _step(steps, "promote", "replace the current bundle by a better one", PROMOTING)
    )
    _learning_curve(_step(steps, "learning-curve", "measure how much data is enough", LEARNING))
    _step(steps, "all", "make the committed bundle again (needs torch)", MAKING)
    return whole


def _step(
    steps: argparse._SubParsersAction[argparse.ArgumentParser], name: str, title: str, more: str
) -> argparse.ArgumentParser:
    return steps.add_parser(
        name,
        help=title,
        description=title[0].upper() + title[1:] + ".",
        epilog=more,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def _prepare(step: argparse.ArgumentParser) -> None:
    step.add_argument(
        "input",
        nargs="?",
        type=Path,
        help="a .csv, .csv.gz, .parquet or .txt file, or a folder of tables",
    )
    add_source(step)
    add_preparing(step)
    folder_option(step, "--to", DATA, "the prepared folder to write")


def _train(step: argparse.ArgumentParser) -> None:
    step.add_argument("data", nargs="?", type=Path, default=DATA, help=PREPARED)
    folder_option(step, "--to", CHECKPOINT, "the checkpoint folder to write")
    settings_options(step, TrainSettings, derived=DERIVED)
    _device(step)
    step.add_argument(
        "--save-every",
        type=float,
        default=60.0,
        metavar="SECONDS",
        help="how often the state is written within an epoch: what a kill may cost (default: 60)",
    )
    step.add_argument(
        "--restart",
        action="store_true",
        help="begin anew; without it, a training of the same data and settings that was "
        "interrupted goes on",
    )


def _plan(step: argparse.ArgumentParser) -> None:
    add_planning(step)
    settings_options(step, TrainSettings, derived=DERIVED)
    _device(step)


def _device(step: argparse.ArgumentParser) -> None:
    step.add_argument(
        "--device",
        choices=("auto", "cpu", "cuda"),
        default="cpu",
        help="auto takes a GPU where there is one, and computes in bfloat16 there (default: cpu)",
    )


def _evaluate(step: argparse.ArgumentParser) -> None:
    step.add_argument(
        "data", nargs="?", type=Path, help=f"a prepared folder (default: {DATA}), or an input file"
    )
    add_source(step)
    which = step.add_mutually_exclusive_group()
    which.add_argument(
        "--bundle",
        type=Path,
        metavar="FOLDER",
        help=f"the bundle to evaluate (default: {BUNDLE} for a prepared folder and for "
        "--complete-journey; none for another input file)",
    )
    which.add_argument("--no-bundle", action="store_true", help="only the baselines")
    step.add_argument("--json", action="store_true", help="print one JSON object")


def _export(step: argparse.ArgumentParser) -> None:
    step.add_argument("data", nargs="?", type=Path, default=DATA, help=PREPARED)
    folder_option(step, "--checkpoint", CHECKPOINT, "what train wrote")
    folder_option(step, "--to", BUNDLE, "the bundle to write; one that is there is replaced")
    which = step.add_mutually_exclusive_group()
    which.add_argument(
        "--blend-of",
        type=Path,
        metavar="FOLDER",
        help="the checkpoint that says how the model is blended with neighbours, first purchases "
        "and repeats, trained like this one but without --refit (default: this one)",
    )
    which.add_argument("--no-blend", action="store_true", help="the model alone")


def _verify(step: argparse.ArgumentParser) -> None:
    step.add_argument("bundle", nargs="?", type=Path, default=BUNDLE, help=f"default: {BUNDLE}")
    step.add_argument(
        "--against-data", type=Path, metavar="DATA", help="a prepared folder to evaluate on again"
    )
    step.add_argument(
        "--complete-journey",
        action="store_true",
        help="evaluate again on the Complete Journey data, split as `all` splits it",
    )


def _learning_curve(step: argparse.ArgumentParser) -> None:
    step.add_argument("data", nargs="?", type=Path, default=DATA, help=PREPARED)
    folder_option(step, "--checkpoint", CHECKPOINT, "what train wrote")
    step.add_argument(
        "--shares",
        type=_shares,
        default=SHARES,
        metavar="PERCENT,…",
        help="of the users, in per cent (default: 10,25,50,100)",
    )
    step.add_argument(
        "--seed", type=int, default=1, metavar="INT", help="which users come first (default: 1)"
    )
    _device(step)


def _shares(text: str) -> tuple[float, ...]:
    try:
        found = tuple(float(each) / 100 for each in text.split(","))
    except ValueError:
        found = ()
    if not found or not all(0 < share <= 1 for share in found):
        raise argparse.ArgumentTypeError(f"{text} is no list of per cents above 0, as 10,50,100")
    return found
