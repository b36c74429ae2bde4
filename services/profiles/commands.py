"""The commands beside the worker itself: each reads its settings, does one thing and ends."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from services.profiles import replaying, showing
from services.profiles.settings import PREFIX, Settings
from services.shared.errors import BadInput, BadSetting, Unavailable
from services.shared.kafka_records import accept_any_header_name
from services.shared.letter_keys import RedisLetterKeys
from services.shared.redis_connection import Redis, RedisConnection
from services.shared.sealed_letters import SealedLetters
from services.shared.sealing import read_master_key
from services.shared.settings import read_settings

Say = Callable[[str], None]


class Command(NamedTuple):
    """A command."""

    parser: Callable[[], argparse.ArgumentParser]
    do: Callable[[Settings, SealedLetters, argparse.Namespace, Say, Say], Awaitable[int]]
    """With where its answer goes, and where remarks do."""
    when_away: str
    """What is true where Kafka or Redis go away meanwhile."""


async def _replay(
    settings: Settings, letters: SealedLetters, told: argparse.Namespace, say: Say, _: Say
) -> int:
    return await replaying.replay(settings, letters, replaying.choice_of(told), say)


async def _show(
    settings: Settings, letters: SealedLetters, told: argparse.Namespace, say: Say, remark: Say
) -> int:
    return await showing.show(settings, letters, showing.choice_of(told), say, remark)


COMMANDS: Final[Mapping[str, Command]] = {
    replaying.COMMAND: Command(
        replaying.parser, _replay, "what was put back counts once, run it again"
    ),
    showing.COMMAND: Command(showing.parser, _show, "nothing was changed, run it again"),
}


def letters_of(settings: Settings, redis: Redis) -> SealedLetters:
    """What seals and opens letters. Raises BadSetting for a master key that cannot be read."""
    master = read_master_key(Path(settings.master_key_file))
    return SealedLetters(master, RedisLetterKeys(redis, master))


def run_command(
    name: str, arguments: Sequence[str], environ: Mapping[str, str], *, say: Say, remark: Say
) -> int:
    """Do it; status 1 where Kafka or Redis are away, 2 for what cannot work."""
    command = COMMANDS[name]
    told = command.parser().parse_args(arguments)
    try:
        settings = read_settings(Settings, prefix=PREFIX, environ=environ)
        accept_any_header_name()
        return asyncio.run(_run(command, settings, told, say, remark))
    except Unavailable as error:
        remark(f"{error.code}: {error}; {command.when_away}")
        return 1
    except (BadInput, BadSetting) as error:
        remark(f"{error.code}: {error}")
        return 2


async def _run(
    command: Command, settings: Settings, told: argparse.Namespace, say: Say, remark: Say
) -> int:
    redis = RedisConnection(settings.redis_url)
    try:
        return await command.do(settings, letters_of(settings, redis), told, say, remark)
    finally:
        await redis.close()
