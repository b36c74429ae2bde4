"""The door's entry point: ``python -m services.events``."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import uvloop

from services.events.serving import Server
from services.events.settings import PREFIX, Settings
from services.shared.errors import AttuneError
from services.shared.identity import read_keys
from services.shared.settings import read_settings, settings_help
from services.shared.telemetry import configure_logs

IMPORT: Final = "import"


def main(arguments: Sequence[str]) -> int:
    """Returns the exit status: 0 after a stop by signal, 2 if it cannot start."""
    if arguments[:1] == [IMPORT]:
        return _import(arguments[1:])
    settings_help(
        Settings,
        prefix=PREFIX,
        prog="python -m services.events",
        description="Takes events over gRPC (EventService.Write) and answers once Kafka has them.",
        epilog="It is ready when it has found Kafka and the topic. SIGTERM lets calls in "
        "progress end and ends with status 0. "
        f"Another command, for a shop's history: python -m services.events {IMPORT} --help",
    ).parse_args(arguments)
    try:
        settings = read_settings(Settings, prefix=PREFIX, environ=os.environ)
        configure_logs("events", settings.log_level)
        uvloop.run(Server(settings, read_keys(Path(settings.api_keys_file))).run())
    except AttuneError as error:
        print(f"{error.code}: {error}", file=sys.stderr)
        return 2
    return 0


def _import(arguments: Sequence[str]) -> int:
    """Returns the exit status, see the command's ``--help``."""
    from services.events import import_command  # its libraries take a server half a second

    try:
        return import_command.main(arguments)
    except KeyboardInterrupt:
        return 1
    except AttuneError as error:
        print(f"{error.code}: {error}", file=sys.stderr)
        return 1 if error.retriable else 2


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
