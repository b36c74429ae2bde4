"""What a stack has left running is stopped, and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from deploy.local.kept import KEPT, MARK, forget_data
from deploy.local.stack import Stack
from deploy.local.state import (
    Running,
    State,
    read_state,
    record_also,
    running,
    stop_recorded,
    write_state,
)
from deploy.local.supervised import StackFailed
from deploy.local.told import Ports

SLEEPER = [sys.executable, "-c", "import time; time.sleep(60)"]


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """A process that would run for a minute."""
    with subprocess.Popen(SLEEPER) as process:
        yield process
        process.kill()


def test_only_a_stacks_own_data_are_forgotten(tmp_path: Path) -> None:
    """Somebody's folder named kafka is not removed; one of a stack is, and nothing beside it."""
    for name in ("kafka", "redis"):
        (tmp_path / name).mkdir()
    (tmp_path / "mine.log").touch()
    for use in (forget_data, lambda folder: Stack(folder, Ports()).start(print)):
        with pytest.raises(StackFailed, match="kafka is not a stack's: name another --folder"):
            use(tmp_path)
    assert (tmp_path / "kafka").is_dir()
    (tmp_path / MARK).touch()
    forget_data(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [MARK, "mine.log"]
    forget_data(tmp_path / "new")


def test_all_that_a_stack_keeps_is_forgotten(tmp_path: Path) -> None:
    """Each by its name, once: a second start of the demo begins with it."""
    for name in (MARK, *KEPT):
        (tmp_path / name).write_text("kept")
    forget_data(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [MARK]


def test_recorded_process_is_stopped(tmp_path: Path, sleeper: subprocess.Popen[bytes]) -> None:
    """Stopping ends the process and forgets it; stopping again finds nothing."""
    write_state(tmp_path, State((running("sleeper", sleeper.pid),)))
    assert stop_recorded(tmp_path) == ["sleeper"]
    assert not psutil.pid_exists(sleeper.pid)
    assert read_state(tmp_path) == State()
    assert stop_recorded(tmp_path) == []


def test_other_process_with_the_same_number_is_left_alone(
    tmp_path: Path, sleeper: subprocess.Popen[bytes]
) -> None:
    """A number that another process has by now is not stopped."""
    write_state(tmp_path, State((Running("kafka", sleeper.pid, started_at=1.0),)))
    assert stop_recorded(tmp_path) == []
    assert sleeper.poll() is None


def test_process_that_is_gone_is_no_error(tmp_path: Path) -> None:
    """A process that ended by itself is passed over."""
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        recorded = Running("worker", ended.pid, started_at=1.0)
    write_state(tmp_path, State((recorded,)))
    assert stop_recorded(tmp_path) == []


def test_who_stops_does_not_stop_itself(tmp_path: Path) -> None:
    """A process that is recorded itself survives stopping the others."""
    write_state(tmp_path, State())
    record_also(tmp_path, running("demo", os.getpid()))
    assert [process.name for process in read_state(tmp_path).processes] == ["demo"]
    assert stop_recorded(tmp_path) == []
