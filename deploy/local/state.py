"""Which processes a stack has left running, so that another command can stop them."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Final

import msgspec
import psutil

FILE: Final = "state.json"


class Running(msgspec.Struct, frozen=True):
    """One process; its start time tells it from a later one with the same number."""

    name: str
    pid: int
    started_at: float


class State(msgspec.Struct, frozen=True):
    """The processes in the order in which they were started, and where they listen."""

    processes: tuple[Running, ...] = ()
    addresses: dict[str, str] = {}


def read_state(folder: Path) -> State:
    """What ``folder`` says is running; an empty state where it says nothing."""
    try:
        return msgspec.json.decode((folder / FILE).read_bytes(), type=State)
    except FileNotFoundError:
        return State()


def write_state(folder: Path, state: State) -> None:
    """Replace what ``folder`` says, in one step."""
    folder.mkdir(parents=True, exist_ok=True)
    fresh = folder / f".{FILE}"
    fresh.write_bytes(msgspec.json.format(msgspec.json.encode(state)) + b"\n")
    fresh.replace(folder / FILE)


def running(name: str, pid: int) -> Running:
    """Note a process that runs now."""
    return Running(name, pid, psutil.Process(pid).create_time())


def record_also(folder: Path, recorded: Running) -> None:
    """Add a process to what ``folder`` says is running; it will be the first to be stopped."""
    state = read_state(folder)
    write_state(folder, State((*state.processes, recorded), state.addresses))


def stop_recorded(folder: Path, *, within: float = 30.0) -> list[str]:
    """Stop what ``folder`` says is running, last started first; answers the names stopped.

    A process that is gone, or whose number another one has by now, is left alone; so is the
    process that calls.
    """
    stopped = []
    others = (p for p in read_state(folder).processes if p.pid != os.getpid())
    for recorded in reversed(tuple(others)):
        with contextlib.suppress(psutil.NoSuchProcess):
            process = psutil.Process(recorded.pid)
            if abs(process.create_time() - recorded.started_at) < 1.0:
                _stop(process, within)
                stopped.append(recorded.name)
    (folder / FILE).unlink(missing_ok=True)
    return stopped


def _stop(process: psutil.Process, within: float) -> None:
    process.terminate()
    try:
        process.wait(within)
    except psutil.TimeoutExpired:
        process.kill()
        process.wait(within)
