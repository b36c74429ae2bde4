"""A whole run of one of the demos, as its user has it: what it says and what it leaves."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

import msgspec

ROOT = Path(__file__).parents[1]
SECONDS = 480
ENDS_SECONDS = 60

Figures = TypeVar("Figures")


class Told(NamedTuple, Generic[Figures]):
    """What a whole run has said and left."""

    said: str
    figures: Figures
    folder: Path

    def tells_in_turn(self, steps: Sequence[str]) -> bool:
        """Whether all steps are told, in this order."""
        places = [self.said.find(f"\n{step}") for step in steps]
        return -1 not in places and places == sorted(places)


def run_demo(name: str, lines: int, folder: Path, file: str, kind: type[Figures]) -> Told[Figures]:
    """Run the command ``name`` with so many order lines to its end; its figures are in ``file``."""
    command = [sys.executable, "-m", "deploy.local", name, "--once", "--lines", str(lines)]
    command += ["--folder", str(folder)]
    demo = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        said, _ = demo.communicate(timeout=SECONDS)
    except subprocess.TimeoutExpired:
        demo.terminate()  # and it ends its servers, whose ports others want
        said, _ = demo.communicate(timeout=ENDS_SECONDS)
    assert demo.returncode == 0, said
    return Told(said, msgspec.json.decode((folder / file).read_bytes(), type=kind), folder)
