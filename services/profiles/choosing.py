"""Which dead letters a command is about: told on its command line, read from the topic."""

from __future__ import annotations

import argparse
import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from services.profiles.adapters.dead_letter_topic import letters
from services.profiles.settings import Settings
from services.shared.dead_letter import DeadLetter
from services.shared.letter_envelope import address_of

_AGO: Final = re.compile(r"(\d{1,6})([mhd])")
_UNITS: Final = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}


class Wanted(NamedTuple):
    """Which letters."""

    since: datetime
    codes: frozenset[str]
    """Of any of these; empty: of all."""
    shop_id: str
    """"" for all."""


def add_wanted(parser: argparse.ArgumentParser) -> None:
    """Have ``parser`` ask which letters."""
    parser.add_argument(
        "--since",
        required=True,
        type=moment,
        metavar="WHEN",
        help="from when on: 90m, 2h, 3d ago, or a moment such as 2026-11-24T10:00:00Z",
    )
    parser.add_argument("--code", action="append", default=[], help="only of this code; repeatable")
    parser.add_argument("--shop", default="", help="only of this shop, where a letter tells it")


def wanted_of(told: argparse.Namespace) -> Wanted:
    """What a command line says."""
    return Wanted(told.since, frozenset(told.code), told.shop)


def moment(text: str) -> datetime:
    """A moment, or so long ago. Raises ArgumentTypeError."""
    if ago := _AGO.fullmatch(text):
        return datetime.now(UTC) - int(ago[1]) * _UNITS[ago[2]]
    try:
        read = datetime.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is neither 2h nor a moment") from error
    return read if read.tzinfo else read.replace(tzinfo=UTC)


async def wanted_letters(
    settings: Settings, wanted: Wanted
) -> AsyncGenerator[list[DeadLetter], None]:
    """The letters that are wanted, some at a time, up to the present end. Closes with aclose().

    Raises KafkaUnavailable.
    """
    since = int(wanted.since.timestamp() * 1000)
    every = letters(settings.kafka_servers, settings.dead_letters_topic, since=since)
    async with aclosing(every):
        async for some in every:
            yield [letter for letter in some if _is_wanted(letter, wanted)]


def _is_wanted(letter: DeadLetter, wanted: Wanted) -> bool:
    address = address_of(letter)
    if wanted.codes and address.code not in wanted.codes:
        return False
    return wanted.shop_id in ("", address.shop_id)
