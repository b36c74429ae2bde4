"""Small sources that are held in memory: the S3-Rec text format, and what tests write by hand."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl

from model_export.dataset import DAY
from model_export.errors import DataRefused
from model_export.preparation.rows import Feed, PassedOver
from services.shared.bundle_files import sha256_of
from services.shared.model_input import PURCHASE

STEP: Final = DAY
"""What S3-Rec files do not say: we put one day between a user's interactions."""


@dataclass(frozen=True, slots=True)
class Read:
    """What a reader found: rows with ``user_id``, ``item_id``, ``at`` and ``action``."""

    frame: pl.DataFrame
    name: str
    sha256: str
    rows: int
    left_out: dict[str, int]
    catalogue_size: int | None = None
    """Where the source has a list of its products."""


def read_s3rec(path: Path) -> Read:
    """Read the S3-Rec text format: one line a user, ``user item item …`` in time order."""
    rows: list[tuple[str, str, int, int]] = []
    users: set[str] = set()
    for number, line in enumerate(_text(path).splitlines(), start=1):
        user, *items = line.split() or [""]
        if not user:
            continue
        if len(items) < 3:
            raise DataRefused(
                f"{path}, line {number}: {len(items)} items; leave-one-out needs 3 or more"
            )
        if user in users:
            raise DataRefused(f"{path}, line {number}: user {user} has a line already")
        users.add(user)
        rows.extend((user, item, at * STEP, PURCHASE) for at, item in enumerate(items))
    if not rows:
        raise DataRefused(f"{path} has no lines")
    schema = {"user_id": pl.String, "item_id": pl.String, "at": pl.Int64, "action": pl.Int8}
    frame = pl.DataFrame(rows, schema=schema, orient="row")
    return Read(frame, path.name, sha256_of(path), len(rows), {})


def s3rec_feed(path: Path) -> Feed:
    """The same as a source that is cleaned and prepared. Raises DataRefused."""
    read = read_s3rec(path)

    def batches(_: PassedOver) -> Iterator[pl.DataFrame]:
        yield read.frame.rename({"item_id": "thing"})

    return Feed(read.name, read.sha256, read.rows, batches, by_place=True)


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
        return (gzip.decompress(data) if path.suffix == ".gz" else data).decode()
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        raise DataRefused(f"{path} cannot be read: {error}") from error
