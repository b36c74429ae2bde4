"""``python -m services.profiles show-dead-letters``: what was refused, opened."""

from __future__ import annotations

import argparse
import base64
from collections import Counter
from collections.abc import Callable
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Final, NamedTuple

import msgspec

from services.profiles.choosing import Wanted, add_wanted, wanted_letters, wanted_of
from services.profiles.settings import Settings
from services.shared.letter_envelope import Opened
from services.shared.sealed_letters import SealedLetters, Unopened

COMMAND: Final = "show-dead-letters"
SHOWN: Final = 100
SHOWN_OF_A_VALUE: Final = 300
"""Characters in a line; ``--json`` has all of it."""

Say = Callable[[str], None]


class Choice(NamedTuple):
    """Which letters, how many, and how they are written."""

    wanted: Wanted
    limit: int
    write: Callable[[Opened], str]


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        prog=f"python -m services.profiles {COMMAND}",
        description="Print dead letters, opened, one a line: when the record came, where it is, "
        "the shop, the code, the reason, key and value. They name people: mind who reads along. "
        "Letters whose key was erased are counted. Nothing is changed.",
        epilog="Kafka, Redis and the master key are told by the worker's settings. "
        "Example: --since 2h --code EVENT_NOT_JSON --limit 10",
    )
    add_wanted(made)
    made.add_argument(
        "--limit", type=int, default=SHOWN, help="at most so many; 100 if not told", metavar="N"
    )
    made.add_argument(
        "--json", action="store_const", const=as_json, default=as_line, dest="write",
        help="one JSON object a line, with headers and the whole value",
    )  # fmt: skip
    return made


def choice_of(told: argparse.Namespace) -> Choice:
    """What a command line chooses."""
    return Choice(wanted_of(told), told.limit, told.write)


async def show(
    settings: Settings, letters: SealedLetters, choice: Choice, say: Say, remark: Say
) -> int:
    """Say each letter; remark on those that cannot be. Raises Unavailable."""
    shown, unopened = 0, Counter[str]()
    some = wanted_letters(settings, choice.wanted)
    async with aclosing(some):
        async for batch in some:
            for one in await letters.open(batch):
                if isinstance(one, Unopened):
                    unopened[one.why] += 1
                elif shown < choice.limit:
                    say(choice.write(one))
                    shown += 1
                else:
                    remark(f"there are more than {choice.limit}: see --limit and --since")
                    return 0
    for why, count in unopened.most_common():
        remark(f"{count:,} {why}")
    return 0


def as_line(opened: Opened) -> str:
    """A letter for people: no character of it moves a terminal's cursor or colours it."""
    (origin, appended, code, shop_id, _), content = opened
    key = "none" if content.key is None else _shown(content.key)
    place = f"{origin.topic}/{origin.partition}@{origin.offset}"
    words = [_moment(appended), place, shop_id or "-", f"{code}:", content.reason]
    told = " ".join(words) + f" key={key} value="
    return _printable(told + _cut(_shown(content.value)))


def as_json(opened: Opened) -> str:
    """A letter for programs."""
    (origin, appended, code, shop_id, size), content = opened
    told = {
        "appendedAt": _moment(appended),
        "topic": origin.topic,
        "topicId": origin.topic_id,
        "partition": origin.partition,
        "offset": origin.offset,
        "shopId": shop_id,
        "code": code,
        "reason": content.reason,
        "key": None if content.key is None else _shown(content.key),
        "valueSize": size,
        "valueSha256": content.sha256.hex(),
        "headers": [[name, _shown(text)] for name, text in content.headers],
        **_whole(content.value),
    }
    return msgspec.json.encode(told).decode()


def _moment(appended: int) -> str:
    """Milliseconds since 1970 as a moment; "-" for none, and for one that no calendar has."""
    try:
        at = datetime.fromtimestamp(appended / 1000, UTC)
    except (OverflowError, ValueError, OSError):
        return "-"
    return "-" if appended < 0 else at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _whole(value: bytes) -> dict[str, str]:
    try:
        return {"value": value.decode()}
    except UnicodeDecodeError:
        return {"valueBase64": base64.b64encode(value).decode()}


def _shown(text: bytes) -> str:
    """As UTF-8, with other bytes escaped."""
    return text.decode("utf-8", "backslashreplace")


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN_OF_A_VALUE else text[:SHOWN_OF_A_VALUE] + "…"


def _printable(text: str) -> str:
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape").decode() for one in text
    )
