"""The commands beside the service itself: each looks at what is counted, and ends."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec

from services.attribution import reporting, showing
from services.attribution.adapters.courses import RedisCourses
from services.attribution.adapters.experiment_files import experiment_files
from services.attribution.adapters.kept_figures import RedisFigures
from services.attribution.adapters.stops import RedisStops
from services.attribution.looking import Looking
from services.attribution.settings import PREFIX, Experiments
from services.shared.errors import BadInput, BadSetting, Unavailable
from services.shared.redis_cluster import connect
from services.shared.redis_connection import Redis
from services.shared.settings import RedisUrl, read_settings
from services.shared.telemetry import configure_logs

Say = Callable[[str], None]


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What of the service's settings the commands need."""

    redis_url: RedisUrl
    experiments: Experiments = ""


Command = Callable[[Settings, Redis, argparse.Namespace, Say], Awaitable[int]]


async def _figures(_: Settings, redis: Redis, told: argparse.Namespace, say: Say) -> int:
    return await showing.show(RedisFigures(redis), showing.choice_of(told), _now(), say)


async def _report(settings: Settings, redis: Redis, told: argparse.Namespace, say: Say) -> int:
    looking = Looking(RedisFigures(redis), RedisCourses(redis), RedisStops(redis), now=_now)
    files = experiment_files(settings.experiments)
    return await reporting.write(looking, files, reporting.choice_of(told), say)


COMMANDS: Final[Mapping[str, tuple[Callable[[], argparse.ArgumentParser], Command]]] = {
    showing.COMMAND: (showing.parser, _figures),
    reporting.COMMAND: (reporting.parser, _report),
}


def run_command(
    name: str, arguments: Sequence[str], environ: Mapping[str, str], *, say: Say, remark: Say
) -> int:
    """Do it; status 1 where Redis is away, 2 for what cannot work."""
    parser, do = COMMANDS[name]
    told = parser().parse_args(arguments)
    known = {PREFIX + field.name.upper() for field in msgspec.structs.fields(Settings)}
    ours = {name: value for name, value in environ.items() if name in known}
    try:
        settings = read_settings(Settings, prefix=PREFIX, environ=ours)
        configure_logs("attribution", "warning")
        return asyncio.run(_run(do, settings, told, say))
    except Unavailable as error:
        remark(f"{error.code}: {error}; nothing was changed, run it again")
        return 1
    except (BadInput, BadSetting) as error:
        remark(f"{error.code}: {error}")
        return 2


async def _run(do: Command, settings: Settings, told: argparse.Namespace, say: Say) -> int:
    redis = connect(settings.redis_url)
    try:
        return await do(settings, redis, told, say)
    finally:
        await redis.close()


def _now() -> datetime:
    return datetime.now(UTC)
