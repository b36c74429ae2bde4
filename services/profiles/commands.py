"""The commands beside the worker itself: each reads its settings, does one thing and ends."""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, NamedTuple

from services.profiles import rebuilding, replaying, showing
from services.profiles.adapters.redis_servers import RedisServers, redis_servers
from services.profiles.adapters.terminal import folding
from services.profiles.settings import PREFIX, Settings
from services.shared.archive_keys import KeyFiles, PersonKeys
from services.shared.archive_reader import ArchiveReader
from services.shared.archive_storage import ArchiveStorage, open_storage
from services.shared.errors import BadInput, BadSetting, Unavailable
from services.shared.kafka_records import accept_any_header_name
from services.shared.letter_keys import RedisLetterKeys
from services.shared.redis_connection import Redis
from services.shared.sealed_letters import SealedLetters
from services.shared.sealing import read_master_key
from services.shared.settings import read_settings

Say = Callable[[str], None]


class Context(NamedTuple):
    """What a command works with."""

    settings: Settings
    redis: RedisServers
    say: Say
    """Where its answer goes."""
    remark: Say
    """Where remarks go."""


class Command(NamedTuple):
    """A command."""

    parser: Callable[[], argparse.ArgumentParser]
    do: Callable[[Context, argparse.Namespace], Awaitable[int]]
    when_away: str
    """What is true where Kafka or Redis go away meanwhile."""


async def _replay(context: Context, told: argparse.Namespace) -> int:
    settings, redis, say, _ = context
    letters = letters_of(settings, redis.writer)
    return await replaying.replay(settings, letters, replaying.choice_of(told), say)


async def _show(context: Context, told: argparse.Namespace) -> int:
    settings, redis, say, remark = context
    letters = letters_of(settings, redis.writer)
    return await showing.show(settings, letters, showing.choice_of(told), say, remark)


async def _rebuild(context: Context, told: argparse.Namespace) -> int:
    settings, redis, say, _ = context
    if told.give_up:
        return await rebuilding.give_up(redis.writer, redis.nodes, say)
    master = read_master_key(Path(settings.master_key_file))
    with _archive(told.archive) as storage, folding() as start:
        keys = PersonKeys(KeyFiles(storage), master, now_micros=_now_micros)
        parts = rebuilding.Parts(
            settings,
            redis.writer,
            redis.nodes,
            redis.durability,
            ArchiveReader(storage, keys),
            master,
            _now_micros,
        )
        return await rebuilding.rebuild(parts, say, start)


@contextmanager
def _archive(root: str) -> Iterator[ArchiveStorage]:
    """The archive at ``root``; where none is told, one that holds nothing."""
    if root:
        yield open_storage(root)
        return
    with TemporaryDirectory() as folder:
        yield open_storage(folder)


def _now_micros() -> int:
    return time.time_ns() // 1000


COMMANDS: Final[Mapping[str, Command]] = {
    replaying.COMMAND: Command(
        replaying.parser, _replay, "what was put back counts once, run it again"
    ),
    showing.COMMAND: Command(showing.parser, _show, "nothing was changed, run it again"),
    rebuilding.COMMAND: Command(
        rebuilding.parser, _rebuild, "the present profiles are as they were, run it again"
    ),
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
    redis = redis_servers(settings.redis_url, replicas=settings.redis_replicas)
    try:
        return await command.do(Context(settings, redis, say, remark), told)
    finally:
        await redis.close()
