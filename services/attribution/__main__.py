"""Attribution's entry point: ``python -m services.attribution``."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import uvloop

from services.attribution.commands import COMMANDS, run_command
from services.attribution.running import run
from services.attribution.settings import PREFIX, Settings
from services.shared.errors import AttuneError, BadSetting
from services.shared.garbage import collect_seldom
from services.shared.kafka_records import accept_any_header_name, hand_out_records_as_they_are
from services.shared.sealing import read_master_key
from services.shared.settings import read_settings, settings_help
from services.shared.telemetry import configure_logs


def main(arguments: Sequence[str] | None = None) -> int:
    """Read settings and run; status 2 for a setting that cannot work."""
    told = sys.argv[1:] if arguments is None else list(arguments)
    if told[:1] and told[0] in COMMANDS:
        return run_command(told[0], told[1:], os.environ, say=print, remark=_remark)
    settings_help(
        Settings,
        prefix=PREFIX,
        prog="python -m services.attribution",
        description="Joins the lists that were shown with what shoppers did, and counts.",
        epilog="SIGTERM finishes what is in hand and ends with status 0. Other commands: "
        + "; ".join(f"python -m services.attribution {name} --help" for name in COMMANDS),
    ).parse_args(told)
    try:
        return _attribute()
    except AttuneError as error:
        _remark(f"{error.code}: {error}")
        return 2 if isinstance(error, BadSetting) else 1


def _attribute() -> int:
    settings = read_settings(Settings, prefix=PREFIX, environ=os.environ)
    master = read_master_key(Path(settings.master_key_file))
    configure_logs("attribution", settings.log_level)
    accept_any_header_name()
    hand_out_records_as_they_are()
    collect_seldom()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(run(settings, master))


def _remark(text: str) -> None:
    print(text, file=sys.stderr)


if __name__ == "__main__":
    raise SystemExit(main())
