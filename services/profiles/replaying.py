"""``python -m services.profiles replay-dead-letters``: put repaired events back."""

from __future__ import annotations

import argparse
import asyncio
import re
import shlex
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from services.profiles.adapters.dead_letter_topic import letters
from services.profiles.adapters.producing import Producing
from services.profiles.domain.dead_letter import DeadLetter
from services.profiles.settings import Settings
from services.shared.errors import BadInput, EventRefused
from services.shared.event_age import APPENDED_AT, AgeRule
from services.shared.event_codec import check_key, read_value
from services.shared.subject import event_key

COMMAND: Final = "replay-dead-letters"
REPAIR_SECONDS: Final = 10.0
REPAIRED_BYTES: Final = 65_536
PUT_BACK: Final = "put back"

_AGO: Final = re.compile(r"(\d{1,6})([mhd])")
_UNITS: Final = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}


class Choice(NamedTuple):
    """Which letters, and what is done to them."""

    since: datetime
    codes: frozenset[str]
    """Of any of these; empty: of all."""
    shop_id: str
    rekey: bool
    """Make the key from the value."""
    through: tuple[str, ...]
    """A command that each value goes through; empty: none."""
    dry_run: bool


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        prog=f"python -m services.profiles {COMMAND}",
        description="Put dead letters back into the topic that they came from, those that can be "
        "folded now: because a newer release knows more, or because they are repaired on the way. "
        "What would be refused again stays where it is and is counted. An event that is put back "
        "twice counts once.",
        epilog="Kafka is told by ATTUNE_PROFILES_KAFKA_SERVERS, as for the worker. "
        "Example: --since 2h --code EVENT_KEY_MISMATCH --rekey",
    )
    made.add_argument(
        "--since",
        required=True,
        type=moment,
        metavar="WHEN",
        help="from when on: 90m, 2h, 3d ago, or a moment such as 2026-11-24T10:00:00Z",
    )
    made.add_argument("--code", action="append", default=[], help="only of this code; repeatable")
    made.add_argument("--shop", default="", help="only of this shop, by the record's key")
    made.add_argument("--rekey", action="store_true", help="make the key from the event")
    made.add_argument(
        "--through",
        default="",
        metavar="COMMAND",
        help="give each value to this command and take what it prints, such as "
        "\"jq -c '.view.productId |= ascii_downcase'\"",
    )
    made.add_argument("--dry-run", action="store_true", help="say what would be done")
    return made


def moment(text: str) -> datetime:
    """A moment, or so long ago. Raises ArgumentTypeError."""
    if ago := _AGO.fullmatch(text):
        return datetime.now(UTC) - int(ago[1]) * _UNITS[ago[2]]
    try:
        read = datetime.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is neither 2h nor a moment") from error
    return read if read.tzinfo else read.replace(tzinfo=UTC)


def choice_of(told: argparse.Namespace) -> Choice:
    """What a command line chooses."""
    return Choice(
        told.since,
        frozenset(told.code),
        told.shop,
        told.rekey,
        tuple(shlex.split(told.through)),
        told.dry_run,
    )


async def replay(settings: Settings, choice: Choice, say: Callable[[str], None]) -> int:
    """Put back what can be; says what became of the letters.

    Raises KafkaUnavailable, and BadInput where the command to repair with cannot be run.
    """
    outcomes: Counter[str] = Counter()
    since = int(choice.since.timestamp() * 1000)
    ages = {
        settings.events_topic: AgeRule(settings.event_age_limit),
        settings.history_topic: AgeRule(None),
    }
    producing = Producing(settings.kafka_servers)
    try:
        async for some in letters(settings.kafka_servers, settings.dead_letters_topic, since=since):
            again: defaultdict[str, list[DeadLetter]] = defaultdict(list)
            for letter in some:
                topic = dict(letter.headers).get("attune_topic", b"").decode("utf-8", "replace")
                if topic in ages and _is_chosen(letter, choice):
                    outcome = await _again(letter, choice, ages[topic])
                    if isinstance(outcome, DeadLetter):
                        again[topic].append(outcome)
                    else:
                        outcomes[outcome] += 1
            for topic, records in again.items():
                if not choice.dry_run:
                    await producing.send(topic, records)
                outcomes[PUT_BACK] += len(records)
    finally:
        await producing.close()
    done = outcomes.pop(PUT_BACK, 0)
    outcomes["would be put back" if choice.dry_run else PUT_BACK] = done
    for outcome, count in outcomes.most_common():
        say(f"{count:8,} {outcome}")
    return 0


def _is_chosen(letter: DeadLetter, choice: Choice) -> bool:
    code = dict(letter.headers).get("attune_error_code", b"").decode("utf-8", "replace")
    if choice.codes and code not in choice.codes:
        return False
    return not choice.shop_id or (letter.key or b"").startswith(choice.shop_id.encode() + b"/")


async def _again(letter: DeadLetter, choice: Choice, age: AgeRule) -> DeadLetter | str:
    """The record to put back, with the headers that it came with; else why there is none."""
    told = dict(letter.headers)
    if told.get("attune_value_size") != b"%d" % len(letter.value):
        return "cut: more bytes than a dead letter keeps; see the original at its offset"
    value: bytes | None = letter.value
    if choice.through:
        value = await _repaired(choice.through, letter.value)
        if value is None:
            return "not repaired: the command failed, took too long or printed too much"
    appended = told.get(APPENDED_AT, b"")
    headers = [pair for pair in letter.headers if not pair[0].startswith("attune_")]
    try:
        event = read_value(value, headers)
        key = event_key(event.shop_id, event.subject) if choice.rekey else letter.key
        check_key(event, key)
        if appended.isdigit():
            age.check(event.at, int(appended) * 1000)
    except EventRefused as refusal:
        return f"still refused: {refusal.code}"
    return DeadLetter(key, value or b"", [*headers, (APPENDED_AT, appended)])


async def _repaired(command: Sequence[str], value: bytes) -> bytes | None:
    """What ``command`` prints of ``value``; None where it fails. Raises BadInput."""
    try:
        process = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
    except OSError as error:
        raise BadInput(f"--through {command[0]}: {error.strerror}") from error
    try:
        async with asyncio.timeout(REPAIR_SECONDS):
            printed, _ = await process.communicate(value)
    except TimeoutError:
        process.kill()
        await process.wait()
        return None
    return printed if process.returncode == 0 and len(printed) <= REPAIRED_BYTES else None
