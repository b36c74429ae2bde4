"""Commands of the services, typed as whoever runs the shop would, and what they say."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Mapping
from typing import Final

from deploy.local.demo.narration import Narrator
from deploy.local.demo.staging import DemoFailed
from deploy.local.services import ROOT

SECONDS: Final = 60.0
"""What a command is given."""


class Operator:
    """Runs commands one after the other, and shows both sides."""

    def __init__(self, narrator: Narrator, environment: Mapping[str, str]) -> None:
        """``environment`` has what the services' commands are told by variables."""
        usual = {name: told for name, told in os.environ.items() if not name.startswith("ATTUNE_")}
        path = os.pathsep.join([str(ROOT), str(ROOT / "build/gen")])
        self._environment = {**usual, **environment, "PYTHONPATH": path}
        self._narrator = narrator

    def types(self, command: str, *, status: int = 0) -> str:
        """Show the command, run it from here, show and answer what it prints.

        Raises DemoFailed where it ends with another status.
        """
        self._narrator.say(f"  $ python -m {command}")
        done = self.asks(command, status=status)
        for line in done.splitlines():
            self._narrator.say(f"    {line}".rstrip())
        return done

    def asks(self, command: str, *, status: int = 0) -> str:
        """The same without showing anything."""
        done = subprocess.run(  # noqa: S603 - the commands are ours
            [sys.executable, "-m", *shlex.split(command)],
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=SECONDS,
        )
        if done.returncode != status:
            raise DemoFailed(f"{command} ended with status {done.returncode}: {done.stderr}")
        return done.stdout
