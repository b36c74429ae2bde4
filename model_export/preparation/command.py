"""From what the command line was told to a prepared folder."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import polars as pl

from model_export.errors import DataRefused
from model_export.preparation.catalogue import read_catalogue
from model_export.preparation.columns import columns_told
from model_export.preparation.complete_journey import complete_journey_feed
from model_export.preparation.engine import PolarsEngine
from model_export.preparation.gathering import PART_ROWS
from model_export.preparation.groups import read_groups
from model_export.preparation.options import LIMITS
from model_export.preparation.rows import Feed
from model_export.preparation.settings import cleaning
from model_export.preparation.sources import s3rec_feed
from model_export.preparation.spark import LOCAL, SparkEngine
from model_export.preparation.splits import (
    HOLDOUT_DAYS,
    VALIDATION_DAYS,
    ByTime,
    LeaveOneOut,
    Split,
)
from model_export.preparation.stage import Wanted, prepare
from model_export.preparation.steps import Watch
from model_export.preparation.tables import table_feed
from model_export.source import Source
from services.shared.sealing import read_master_key
from services.shared.text_encoder import text_encoder

DAYS: Final = ("holdout_days", "validation_days")
TABLE: Final = ("format", "columns", "time_unit", "as_of")
"""What only a table or a text can be told."""

EVENTS: Final = ("master_key_file", "shop")
"""What only events of Kafka or of the archive can be told."""

SOURCES: Final = ("archive", "kafka")


def prepare_told(told: argparse.Namespace, path: Path | None, folder: Path, watch: Watch) -> Source:
    """Prepare ``path``, or what the options name, as they say. Raises DataRefused."""
    engine = _engine(told)
    limits = {name: getattr(told, name, None) for name in LIMITS}
    rules = cleaning({name: value for name, value in limits.items() if value is not None})
    feed = _grouped(told, _feed(told, path))
    items = getattr(told, "items", None)
    encoder = getattr(told, "text_encoder", None)
    wanted = Wanted(
        split=_split(told, feed),
        limits=rules,
        engine=engine,
        listed=None if items is None else read_catalogue(items, separator=told.category_separator),
        encoder=None if encoder is None else text_encoder(encoder),
        catalogue_size=told.catalogue_size,
        part_rows=getattr(told, "part_rows", None) or PART_ROWS,
    )
    return prepare(feed, wanted, folder, watch)


def is_source_told(told: argparse.Namespace) -> bool:
    """Whether an option names the input, so that no file need be named."""
    return bool(told.complete_journey or told.archive or told.kafka)


def options_told(told: argparse.Namespace) -> list[str]:
    """Which options were told that say how a source is read or split."""
    names = (*DAYS, *TABLE, *EVENTS, "catalogue_size", "split", "category_separator")
    return _told(told, names)


def _feed(told: argparse.Namespace, path: Path | None) -> Feed:
    sources = [told.complete_journey, told.archive is not None, told.kafka is not None]
    if sum(sources) + (path is not None) != 1:
        raise DataRefused(
            "name an input file, or say --complete-journey, --archive or --kafka; one of them"
        )
    if path is None and (options := _told(told, TABLE)):
        raise DataRefused(
            f"{', '.join(options)}: only a file is told that; this has a form of its own"
        )
    if not (told.archive or told.kafka) and (options := _told(told, EVENTS)):
        raise DataRefused(f"{', '.join(options)}: only --archive and --kafka are told that")
    if told.topic_prefix and not told.kafka:
        raise DataRefused("--topic-prefix: only --kafka is told that")
    if told.complete_journey:
        return complete_journey_feed()
    if path is None:
        return _events(told)
    if told.format == "s3rec":
        return s3rec_feed(path)
    columns = columns_told(told.columns, told.time_unit or "s", told.category_separator)
    return table_feed(path, columns, latest=_moment(told.as_of))


def _grouped(told: argparse.Namespace, feed: Feed) -> Feed:
    """The feed with the groups of ``--groups``, which go before those that it has."""
    path = getattr(told, "groups", None)
    if path is None:
        return feed
    groups = read_groups(path)
    if told.master_key_file is not None:
        master = read_master_key(told.master_key_file)
        names = [master.pseudonym(user.encode()).hex() for user in groups["user_id"]]
        groups = groups.with_columns(user_id=pl.Series(names, dtype=pl.String))
    return replace(feed, groups=pl.concat([feed.groups, groups]))


def _events(told: argparse.Namespace) -> Feed:
    from model_export.preparation.archive import archive_feed  # Kafka's clients are slow to load
    from model_export.preparation.events import plain_name, pseudonym_by
    from model_export.preparation.topics import Topics, topic_feed
    from services.shared.archive_storage import open_storage

    master = None if told.master_key_file is None else read_master_key(told.master_key_file)
    if told.kafka:
        topics = Topics(told.kafka, told.topic_prefix or "", told.shop)
        return topic_feed(topics, plain_name if master is None else pseudonym_by(master))
    if master is None:
        raise DataRefused("the archive is sealed: name the key with --master-key-file")
    return archive_feed(open_storage(told.archive), master, shop=told.shop)


def _split(told: argparse.Namespace, feed: Feed) -> Split:
    is_by_place = told.split == "leave-one-out" or (feed.by_place and told.split is None)
    if is_by_place:
        if options := _told(told, DAYS):
            raise DataRefused(
                f"{feed.name} is split by leaving one out, which has no times: "
                f"{', '.join(options)} would change nothing"
            )
        return LeaveOneOut()
    if feed.by_place:
        raise DataRefused(f"{feed.name} has no times to split by; each user's last is held out")
    return ByTime(told.holdout_days or HOLDOUT_DAYS, told.validation_days or VALIDATION_DAYS)


def _engine(told: argparse.Namespace) -> PolarsEngine | SparkEngine:
    master = getattr(told, "spark_master", None)
    if getattr(told, "engine", None) == "spark":
        return SparkEngine(master or LOCAL)
    if master:
        raise DataRefused("--spark-master: only --engine spark is told that")
    return PolarsEngine()


def _moment(text: str | None) -> int:
    """Microseconds since 1970; now where nothing was told. Raises DataRefused."""
    if text is None:
        return time.time_ns() // 1000
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise DataRefused(
            f"--as-of: {text!r} is no time; write it like 2024-05-01T12:30"
        ) from error
    utc = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return int(utc.timestamp() * 1_000_000)


def _told(told: argparse.Namespace, names: Iterable[str]) -> list[str]:
    return [
        f"--{name.replace('_', '-')}" for name in names if getattr(told, name, None) is not None
    ]
