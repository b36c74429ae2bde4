"""Somebody who types what a page says, one line after the other, into one shell."""

from __future__ import annotations

import os
import secrets
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple


class Answered(NamedTuple):
    """What a line came to."""

    status: int
    output: str
    """Of standard output and errors together, as on a terminal."""


class Shell:
    """A bash that lives as long as the reading: what it is told by ``export`` stays told."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def types(self, line: str) -> Answered:
        """Type a line; returns once it has ended, or has begun what runs on behind it."""
        end = secrets.token_hex(8)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{line}\nprintf '\\n%s %s\\n' {end} $?\n")
        self._process.stdin.flush()
        told: list[str] = []
        for answer in self._process.stdout:
            if answer.startswith(end):
                return Answered(int(answer.split()[1]), "".join(told).removesuffix("\n"))
            told.append(answer)
        raise AssertionError(f"the shell ended at {line}: {''.join(told)}")


@contextmanager
def shell(folder: Path) -> Iterator[Shell]:
    """A shell in a folder, without settings of ours; what it has left running ends with it."""
    environment: Mapping[str, str] = {
        name: told for name, told in os.environ.items() if not name.startswith("ATTUNE_")
    }
    with subprocess.Popen(
        ["bash", "--norc"],
        cwd=folder,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            yield Shell(process)
        finally:
            os.killpg(process.pid, 15)
