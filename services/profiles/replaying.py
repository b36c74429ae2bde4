"""``python -m services.profiles replay-dead-letters``: put repaired events back."""

from __future__ import annotations

import argparse
import asyncio
import shlex
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Final, NamedTuple

from services.profiles.adapters.producing import Producing
from services.profiles.choosing import Wanted, add_wanted, wanted_letters, wanted_of
from services.profiles.settings import Settings
from services.shared.dead_letter import DeadLetter
from services.shared.errors import BadInput, EventRefused
from services.shared.event_age import APPENDED_AT, AgeRule
from services.shared.event_codec import check_key, read_value
from services.shared.letter_envelope import Opened, address_of
from services.shared.sealed_letters import SealedLetters, Unopened
from services.shared.subject import event_key

COMMAND: Final = "replay-dead-letters"
REPAIR_SECONDS: Final = 10.0
REPAIRED_BYTES: Final = 65_536
PUT_BACK: Final = "put back"


class Choice(NamedTuple):
    """Which letters, and what is done to them."""

    wanted: Wanted
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
        epilog="Kafka, Redis and the master key are told by the worker's settings. "
        "Example: --since 2h --code EVENT_KEY_MISMATCH --rekey",
    )
    add_wanted(made)
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


def choice_of(told: argparse.Namespace) -> Choice:
    """What a command line chooses."""
    return Choice(wanted_of(told), told.rekey, tuple(shlex.split(told.through)), told.dry_run)


async def replay(
    settings: Settings, letters: SealedLetters, choice: Choice, say: Callable[[str], None]
) -> int:
    """Put back what can be; says what became of the letters.

    Raises Unavailable, and BadInput where the command to repair with cannot be run.
    """
    outcomes: Counter[str] = Counter()
    ages = {
        settings.events_topic: AgeRule(settings.event_age_limit),
        settings.history_topic: AgeRule(None),
    }
    producing = Producing(settings.kafka_servers)
    some = wanted_letters(settings, choice.wanted)
    try:
        async with aclosing(some):
            async for batch in some:
                ours = [one for one in batch if address_of(one).origin.topic in ages]
                again = await _sort(await letters.open(ours), choice, ages, outcomes)
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


async def _sort(
    letters: Sequence[Opened | Unopened],
    choice: Choice,
    ages: Mapping[str, AgeRule],
    outcomes: Counter[str],
) -> dict[str, list[DeadLetter]]:
    """The records to put back, by topic; counts in ``outcomes`` why there is none of others."""
    again: defaultdict[str, list[DeadLetter]] = defaultdict(list)
    for letter in letters:
        if isinstance(letter, Unopened):
            outcomes[letter.why] += 1
            continue
        topic = letter.address.origin.topic
        outcome = await _again(letter, choice, ages[topic])
        if isinstance(outcome, DeadLetter):
            again[topic].append(outcome)
        else:
            outcomes[outcome] += 1
    return again


async def _again(letter: Opened, choice: Choice, age: AgeRule) -> DeadLetter | str:
    """The record to put back, with the headers that it came with; else why there is none."""
    address, content = letter
    if address.value_size != len(content.value):
        return "cut: more bytes than a dead letter keeps; see the original at its offset"
    value: bytes | None = content.value
    if choice.through:
        value = await _repaired(choice.through, content.value)
        if value is None:
            return "not repaired: the command failed, took too long or printed too much"
    try:
        event = read_value(value, content.headers)
        key = event_key(event.shop_id, event.subject) if choice.rekey else content.key
        check_key(event, key)
        if address.appended >= 0:
            age.check(event.at, address.appended * 1000)
    except EventRefused as refusal:
        return f"still refused: {refusal.code}"
    first = [(APPENDED_AT, b"%d" % address.appended)] if address.appended >= 0 else []
    return DeadLetter(key, value or b"", [*content.headers, *first])


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
