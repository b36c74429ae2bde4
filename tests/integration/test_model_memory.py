"""An input need not fit in memory: what preparing takes goes by its parts, not by the whole."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROWS = 60_000
LONG = 4_000
"""Characters of an event's id: a large input of few rows."""


WATCHED = """
import re, sys
from model_export.__main__ import main
status = main(sys.argv[1:])
print(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1])
sys.exit(status)
"""
"""Runs a command and prints the most that it held, in kibibytes."""


def peak(*arguments: str) -> float:
    """Mebibytes that a command held at the most."""
    done = subprocess.run(
        [sys.executable, "-c", WATCHED, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, "POLARS_MAX_THREADS": "1"},
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout.split()[-1]) / 1024


def test_memory_is_bounded(tmp_path: Path) -> None:
    """A file three times as large as what is taken for it, beside what the libraries take."""
    few = "user_id,item_id,timestamp\n" + "".join(f"u,i{n},{n * 86_400}\n" for n in range(50))
    (tmp_path / "few.csv").write_text(few)
    with (tmp_path / "long.csv").open("w") as file:
        file.write("user_id,item_id,timestamp,event_type,event_id\n")
        for n in range(ROWS):
            file.write(f"u{n % 999},i{n % 501},{n * 61},view,{n}{'x' * LONG}\n")
    to = ("--split", "leave-one-out", "--to", f"{tmp_path}/data")
    libraries = peak("prepare", f"{tmp_path}/few.csv", *to)
    whole = peak("prepare", f"{tmp_path}/long.csv", "--part-rows", "25000", *to)
    size = (tmp_path / "long.csv").stat().st_size / 2**20
    assert whole - libraries < size / 3
