"""``make bench-serve`` gives the server a core of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = """
import os, subprocess
from tests.bench.serve.measuring import OTHERS, SERVER_CORE, pin

pin(os.getpid(), OTHERS)  # as the bench does first
server = subprocess.Popen(["sleep", "60"])
try:
    pin(server.pid, SERVER_CORE)
    alone = os.sched_getaffinity(server.pid)
    pin(server.pid, (*SERVER_CORE, *OTHERS))
    both = os.sched_getaffinity(server.pid)
    print(len(alone), len(alone & os.sched_getaffinity(0)), both == alone | os.sched_getaffinity(0))
finally:
    server.kill()
    server.wait()
"""


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="this machine has one core")
def test_a_server_gets_a_core_that_the_bench_itself_has_not() -> None:
    """Also after the bench has told itself where to run, and both of them for two processes."""
    told = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert told.stdout == "1 0 True\n", told.stderr
