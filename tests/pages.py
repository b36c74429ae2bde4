"""A page of the documentation as something that runs: its scripts and its commands, in order."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from model_export.__main__ import main

ROOT: Final = Path(__file__).parents[1]
SCRIPT: Final = re.compile(r"Save this as\s+`build/(\w+\.py)`.*?```python\n(.*?)```", re.DOTALL)
BLOCK: Final = re.compile(r"^```\w*\n(.*?)^```$", re.DOTALL | re.MULTILINE)
COMMAND: Final = re.compile(r"^\$ (.+)\n((?:(?!\$ ).*\n)*)", re.MULTILINE)
LEFT_OUT: Final = "…"

Quicker = Mapping[str, Sequence[str]]
"""What a command is told besides; of an option that is told twice the last counts."""


def blocks(text: str) -> list[str]:
    """What stands between fences, whatever it is."""
    return BLOCK.findall(text)


@dataclass(frozen=True)
class Page:
    """What stands behind each ``$``, and what the page says that it prints."""

    scripts: Mapping[str, str]
    shown: Mapping[str, list[str]]
    """By command the lines that are shown, but for what is left out and for empty ones."""

    @classmethod
    def read(cls, name: str) -> Page:
        """The page of this name in ``docs``."""
        text = (ROOT / "docs" / name).read_text()
        commands = [found for block in blocks(text) for found in COMMAND.findall(block)]
        lines = {command: after.splitlines() for command, after in commands}
        return cls(
            scripts=dict(SCRIPT.findall(text)),
            shown={
                command: [line for line in after if line not in ("", LEFT_OUT)]
                for command, after in lines.items()
            },
        )

    def lay_out(self, folder: Path) -> None:
        """Write the scripts, and the files that the page shows by ``cat``."""
        for name, script in self.scripts.items():
            (folder / name).write_text(script)
        for command, lines in self.shown.items():
            if command.startswith("cat build/"):
                (folder / command.removeprefix("cat build/")).write_text("\n".join(lines) + "\n")


def run(
    command: str,
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    quicker: Quicker,
    *,
    statuses: Collection[int] = (0,),
) -> str:
    """What one command prints, with ``folder`` in the place of ``build``."""
    words = [re.sub("^build/", f"{folder}/", word) for word in shlex.split(command)]
    if words[0] == "model_export":
        assert main([*words[1:], *quicker.get(words[1], ())]) in statuses
        return capsys.readouterr().out
    told, to = (words[:-2], words[-1]) if words[-2] == ">" else (words, None)
    told = [sys.executable if word == ".venv-dev/bin/python" else word for word in told]
    done = subprocess.run(told, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    if to is not None:
        Path(to).write_text(done.stdout)
    return done.stdout
