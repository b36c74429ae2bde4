"""Runs a Python module in a process of its own: its memory ends with it, and so does its time.

What it says is kept as far as it is the newest: of standard output what a program may want to read,
of standard error what a person may.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from threading import Thread
from typing import IO, Final, NamedTuple

from services.shared.errors import StepUnfinished

SAID: Final = 4 << 20
"""Bytes of standard output, newest, that are kept."""
REMARKED: Final = 4 << 10
"""The same of standard error."""
AT_ONCE: Final = 1 << 16
LEFT_SECONDS: Final = 5.0
"""For what is in the pipes once the process has ended."""


class Ended(NamedTuple):
    """A process that has come to its own end."""

    status: int
    """Below 0: the signal that killed it."""
    said: bytes
    remarked: str

    @property
    def last_words(self) -> str:
        """The last line of what it remarked."""
        lines = self.remarked.strip().splitlines()
        return lines[-1] if lines else "it said nothing"


class _Tail(Thread):
    """Reads a pipe to its end, and keeps the newest bytes."""

    def __init__(self, pipe: IO[bytes], most: int) -> None:
        super().__init__(daemon=True)
        self._pipe, self._most = pipe, most
        self.kept = b""
        self.start()

    def run(self) -> None:
        while content := self._pipe.read(AT_ONCE):
            self.kept = (self.kept + content)[-self._most :]


def run(told: Sequence[str], *, within: float, holding: Sequence[int] = ()) -> Ended:
    """Run ``python -m`` with the words of ``told``, for ``within`` seconds at most.

    It inherits the descriptors ``holding``, such as that of a lock, which is so held until it has
    ended, whatever becomes of this process. Raises StepUnfinished where the time is over; whatever
    is raised here, it is killed.
    """
    with subprocess.Popen(  # noqa: S603 - the command is ours
        [sys.executable, "-m", *told],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
        pass_fds=holding,
    ) as process:
        said, remarked = _Tail(_pipe(process.stdout), SAID), _Tail(_pipe(process.stderr), REMARKED)
        try:
            status = process.wait(within)
        except subprocess.TimeoutExpired as error:
            raise StepUnfinished(f"{' '.join(told[:2])} took longer than {within:g} s") from error
        finally:
            process.kill()
        for tail in (said, remarked):
            tail.join(LEFT_SECONDS)
        return Ended(status, said.kept, remarked.kept.decode(errors="replace"))


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        raise AssertionError("every stream is a pipe")
    return pipe
