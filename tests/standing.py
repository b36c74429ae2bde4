"""Processes that stand still for a while, as one does whose machine swaps or is moved."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.waiting import eventually

SECONDS = 10.0


@contextmanager
def standing_still(pid: int) -> Iterator[None]:
    """The process keeps its connections and does nothing; not one of its threads."""
    os.kill(pid, signal.SIGSTOP)
    try:
        eventually(lambda: _all_stand(pid), within=SECONDS)
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def _all_stand(pid: int) -> bool:
    """A signal reaches a thread that runs on another core a moment after it was sent."""
    states = [
        stat.read_text().rpartition(")")[2].split()[0]
        for stat in Path(f"/proc/{pid}/task").glob("*/stat")
    ]
    return set(states) == {"T"}
