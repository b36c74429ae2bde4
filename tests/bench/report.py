"""What a bench leaves: a table for people, and a file for programs."""

from __future__ import annotations

import platform
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec
import psutil
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[2]
TARGET = ROOT / "build/bench"
WIDTH = 130
"""Of what is printed into a file."""


class Row(msgspec.Struct, frozen=True):
    """One measure: the median of its runs, how far they spread, and what it is held to."""

    measure: str
    value: float
    unit: str
    spread: tuple[float, float]
    """The least and the greatest of the runs."""
    gate: float | None = None
    aim: float | None = None


class Report(msgspec.Struct, frozen=True):
    """A bench's outcome, and on what it was measured."""

    name: str
    machine: str
    revision: str
    command: str
    rows: Sequence[Row]


def publish(name: str, rows: Sequence[Row], *figures: Table) -> None:
    """Print the rows and what was drawn of them, and write ``build/bench/NAME.json``."""
    report = Report(name, machine(), revision(), " ".join(sys.orig_argv), rows)
    target = TARGET / f"{name}.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(msgspec.json.format(msgspec.json.encode(report)) + b"\n")
    table = Table("measure", "median", "runs", "gate", "aim", title=f"{name} · {report.machine}")
    for row in rows:
        low, high = row.spread
        limits = ("" if limit is None else _text(limit) for limit in (row.gate, row.aim))
        table.add_row(
            row.measure, f"{_text(row.value)} {row.unit}", f"{_text(low)} to {_text(high)}", *limits
        )
    terminal = Console()
    console = terminal if terminal.is_terminal else Console(width=WIDTH)
    for each in (table, *figures):
        console.print(each)
    console.print(f"also in {target}")


def _text(number: float) -> str:
    """Four digits, or all before the point."""
    return f"{number:,.0f}" if abs(number) >= 1_000 else f"{number:.4g}"


def machine() -> str:
    """Processor cores, memory, system."""
    memory = psutil.virtual_memory().total / 2**30
    return f"{psutil.cpu_count()} cores, {memory:.0f} GiB, {platform.system()} {platform.machine()}"


def revision() -> str:
    """The commit that was measured, with a ``+`` where files differ from it."""
    told = ["git", "describe", "--always", "--dirty=+"]
    done = subprocess.run(told, cwd=ROOT, capture_output=True, text=True, timeout=30)
    return done.stdout.strip() or "unknown"
