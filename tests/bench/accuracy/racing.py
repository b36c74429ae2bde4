"""Run a contender in a process of its own, and note what it took.

Time, processor time and memory are those that the system accounts to the process and to what it
waited for. Linux counts what the starting process held towards the memory of the one it starts;
so nothing that imports torch may race contenders.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

import msgspec

from tests.bench.accuracy.contract import Epoch, Outcome, Record, Task, told
from tests.bench.report import ROOT


class Contender(NamedTuple):
    """A name for the tables, the command that a task is appended to, and settings of its own."""

    name: str
    command: Sequence[str]
    options: Mapping[str, float | str] = {}


class Run(msgspec.Struct, frozen=True):
    """One run of a contender, from start to exit."""

    name: str
    epochs: Sequence[Epoch]
    outcome: Outcome
    seconds: float
    """With starting, reading and validating."""
    processor_seconds: float
    peak_bytes: int

    @property
    def best_ndcg(self) -> float:
        """NDCG@10 on the validation items, at best."""
        return max(epoch.validation.ndcg for epoch in self.epochs)

    def epochs_to(self, ndcg: float) -> int | None:
        """After how many epochs NDCG@10 on the validation items was ``ndcg`` or more first."""
        reached = (n for n, each in enumerate(self.epochs, 1) if each.validation.ndcg >= ndcg)
        return next(reached, None)

    def seconds_to(self, ndcg: float) -> float | None:
        """How long it trained for that; without starting, reading and validating."""
        return self._until(ndcg, [epoch.seconds for epoch in self.epochs])

    def processor_seconds_to(self, ndcg: float) -> float | None:
        """How much processor time it trained for that."""
        return self._until(ndcg, [epoch.processor_seconds for epoch in self.epochs])

    def _until(self, ndcg: float, costs: Sequence[float]) -> float | None:
        epochs = self.epochs_to(ndcg)
        return None if epochs is None else list(accumulate(costs))[epochs - 1]


class ContenderFailed(RuntimeError):
    """A contender ended early, or said what is no record; its log says why."""

    def __init__(self, name: str, what: str, log: Path) -> None:
        super().__init__(f"{name} {what}: see {log}")


def race(contender: Contender, task: Task, log: Path, seen: Callable[[Epoch], None]) -> Run:
    """Run the contender to its end; ``seen`` hears of each epoch at once.

    ``log`` gets its standard error. Raises :class:`ContenderFailed`.
    """
    options = {**contender.options, **task.options}
    argument = msgspec.json.encode(msgspec.structs.replace(task, options=options)).decode()
    begun = time.perf_counter()
    with log.open("wb") as errors:
        process = subprocess.Popen(
            [*contender.command, argument],
            stdout=subprocess.PIPE,
            stderr=errors,
            cwd=ROOT,
            env=_environment(task.threads),
        )
    try:
        records = _records(process, contender.name, log, seen)
    except BaseException:
        # Not process.kill(), which would take the status of one that has ended from wait4.
        os.kill(process.pid, signal.SIGKILL)
        raise
    finally:
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    seconds, processor = time.perf_counter() - begun, used.ru_utime + used.ru_stime
    epochs = [record for record in records if isinstance(record, Epoch)]
    outcomes = [record for record in records if isinstance(record, Outcome)]
    if process.returncode or not epochs or len(outcomes) != 1:
        raise ContenderFailed(contender.name, f"ended with {process.returncode} untimely", log)
    return Run(contender.name, epochs, outcomes[0], seconds, processor, used.ru_maxrss * 1024)


def _records(
    process: subprocess.Popen[bytes], name: str, log: Path, seen: Callable[[Epoch], None]
) -> list[Record]:
    """All that it says until it closes its output."""
    assert process.stdout is not None
    records: list[Record] = []
    with process.stdout as lines:
        for line in lines:
            try:
                records.append(told(line))
            except msgspec.MsgspecError:
                raise ContenderFailed(name, f"said {line[:80]!r}", log) from None
            if isinstance(record := records[-1], Epoch):
                seen(record)
    return records


def _environment(threads: int) -> dict[str, str]:
    """Ours, with as many threads for whatever library counts them."""
    limits = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS"), threads)
    told = {name: str(value) for name, value in limits.items()}
    return {
        **os.environ,
        **told,
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "build/gen")]),
    }
