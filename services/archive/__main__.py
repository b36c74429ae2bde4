"""The archive's entry point: ``python -m services.archive``."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import uvloop

from services.archive.compacting import COMMAND, compact, parser
from services.archive.running import run
from services.archive.settings import PREFIX, Settings
from services.shared.archive_storage import open_storage
from services.shared.errors import AttuneError, BadSetting, Unavailable
from services.shared.garbage import collect_seldom
from services.shared.kafka_records import accept_any_header_name, hand_out_records_as_they_are
from services.shared.sealing import read_master_key
from services.shared.settings import read_settings, settings_help
from services.shared.telemetry import configure_logs


def main(arguments: Sequence[str] | None = None) -> int:
    """Read settings and run; status 2 for a setting that cannot work."""
    told = sys.argv[1:] if arguments is None else list(arguments)
    is_compacting = told[:1] == [COMMAND]
    try:
        if is_compacting:
            return compact(parser().parse_args(told[1:]), os.environ, print)
        settings_help(
            Settings,
            prefix=PREFIX,
            prog="python -m services.archive",
            description="Keeps shopper events from Kafka as Parquet, by day and shop.",
            epilog="SIGTERM puts what was gathered into files and ends with status 0. "
            f"Another command: python -m services.archive {COMMAND} --help",
        ).parse_args(told)
        return _archive()
    except Unavailable as error:
        print(f"{error.code}: {error}; nothing is lost, run it again", file=sys.stderr)
        return 1
    except AttuneError as error:
        print(f"{error.code}: {error}", file=sys.stderr)
        return 2 if isinstance(error, BadSetting) else 1


def _archive() -> int:
    settings = read_settings(Settings, prefix=PREFIX, environ=os.environ)
    master = read_master_key(Path(settings.master_key_file))
    storage = open_storage(settings.root)
    configure_logs("archive", settings.log_level)
    accept_any_header_name()
    hand_out_records_as_they_are()
    collect_seldom()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(run(settings, storage, master))


if __name__ == "__main__":
    raise SystemExit(main())
