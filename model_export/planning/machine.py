"""How fast a machine is: seconds for each of what a training computes, and what it holds."""

from __future__ import annotations

import os
import platform
import resource
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from model_export.errors import DataRefused

MACHINES: Final = Path("build/model/machine.json")
"""Where ``plan --calibrate`` keeps what it measured."""


class Machine(msgspec.Struct, frozen=True):
    """Constants of one machine with so many threads."""

    processor: str
    cores: int
    threads: int
    device: str
    torch: str
    loaded: float
    """Processor seconds of any training, however small: Python, torch and the rest are loaded."""
    base_bytes: int
    """What a training of next to nothing holds."""
    seconds: Mapping[str, Mapping[str, float]]
    """Phase → term → processor seconds; see :mod:`model_export.planning.costs`."""
    clock: float
    """Seconds by the clock for one of the processor's, while it was measured."""
    error: float
    """How far a run that was not fitted was from its estimate, as a share of it."""


TYPICAL: Final = Machine(
    processor="two cores of an AMD EPYC",
    cores=2,
    threads=1,
    device="cpu",
    torch="2.15",
    loaded=7.0,
    base_bytes=880_000_000,
    seconds={
        "begin": {
            "row or id": 3.2e-6,
            "pair": 1.2e-9,
            "component": 2.3e-10,
            "component beyond the cache": 8e-10,
            "case": 7.5e-5,
        },
        "prepare": {"start": 9e-3, "row": 3.2e-7, "parameter": 2.1e-8},
        "step": {
            "start": 5e-3,
            "parameter": 4.4e-9,
            "multiplication": 1.36e-10,
            "attention cell": 5.7e-8,
            "score": 4.8e-9,
        },
        "validate": {"case": 4.4e-5, "score": 1e-9, "multiplication": 5.9e-11},
    },
    clock=1.0,
    error=0.5,
)
"""Measured where the documented figures come from; another machine may take half or twice that."""


def kept(path: Path) -> list[Machine]:
    """What was measured so far; nothing where there is no file. Raises DataRefused."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=list[Machine])
    except FileNotFoundError:
        return []
    except msgspec.MsgspecError as error:
        raise DataRefused(
            f"{path} is no calibration of this release ({error}): make it again with "
            "'python -m model_export plan --calibrate'"
        ) from error


def keep(machine: Machine, path: Path) -> None:
    """Add to what was measured, in place of what it replaces: the same threads and device.

    A file that cannot be read any more is replaced as a whole.
    """
    try:
        others = [each for each in kept(path) if _runs_as(each) != _runs_as(machine)]
    except DataRefused:
        others = []
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.part")
    beside.write_bytes(msgspec.json.format(msgspec.json.encode([*others, machine])) + b"\n")
    beside.replace(path)


def machine_for(path: Path, *, threads: int, device: str) -> tuple[Machine, str]:
    """The constants to plan with, and a sentence where they are not of such a machine."""
    known = {_runs_as(each): each for each in kept(path)}
    if (threads, device) in known:
        return known[threads, device], ""
    asked = f"not measured for {threads} thread{'s' * (threads > 1)} on {device}"
    how = f"measure with 'python -m model_export plan --calibrate --threads {threads}'"
    if known:
        nearest = min(known.values(), key=lambda each: abs(each.threads - threads))
        return nearest, f"{asked}: figures of {nearest.threads} on {nearest.device}; {how}"
    return TYPICAL, f"{asked}: figures of {TYPICAL.processor}; {how}"


def processor() -> tuple[str, int]:
    """Its name, and how many of its cores this process may use."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        named = (line for line in info.read_text().splitlines() if line.startswith("model name"))
        name = next(named, name).partition(":")[2].strip() or name
    return name, len(os.sched_getaffinity(0))


def held_at_most() -> int:
    """The most bytes of memory that this process held so far.

    What getrusage says is also that of the process before it was this program's, so the
    kernel's own figure is preferred.
    """
    told = Path("/proc/self/status")
    if told.exists():
        lines = (line.split() for line in told.read_text().splitlines())
        return next(int(words[1]) * 1024 for words in lines if words[0] == "VmHWM:")
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def _runs_as(machine: Machine) -> tuple[int, str]:
    return machine.threads, machine.device
