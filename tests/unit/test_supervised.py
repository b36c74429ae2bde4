"""A supervised process: waited for, named when it dies, stopped within its deadline."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest

from deploy.local.supervised import ProcessDied, StackFailed, Supervised, interrupts_wait

STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
    "print('ready', flush=True); time.sleep(60)"
)


def supervised(code: str, folder: Path) -> Supervised:
    """A Python program under supervision, started."""
    child = Supervised("child", [sys.executable, "-c", code], folder / "child.log")
    child.start()
    return child


def test_death_is_told_with_the_end_of_the_log(tmp_path: Path) -> None:
    """Who waits for a process that dies is told its status and its last words."""
    child = supervised("print('out of luck'); raise SystemExit(3)", tmp_path)
    with pytest.raises(ProcessDied, match=r"child ended with status 3(.|\n)*out of luck"):
        child.wait_until(lambda: False, within=20)


def test_being_late_is_told(tmp_path: Path) -> None:
    """Who waits longer than said is told so."""
    child = supervised("import time; time.sleep(60)", tmp_path)
    with pytest.raises(ProcessDied, match="was not ready within 0 s"):
        child.wait_until(lambda: False, within=0.1)
    child.kill()


def test_deaf_process_is_killed_after_the_deadline(tmp_path: Path) -> None:
    """A process that ignores SIGTERM is ended by SIGKILL."""
    child = supervised(STUBBORN, tmp_path)
    child.wait_until(lambda: "ready" in child.log.read_text(), within=20)
    assert child.stop(within=0.1) == -signal.SIGKILL
    assert not child.is_running


def test_process_before_its_start(tmp_path: Path) -> None:
    """Asking for the process of something not started is an error, stopping it is none."""
    child = Supervised("child", ["true"], tmp_path / "child.log")
    assert child.stop() == 0
    with pytest.raises(StackFailed, match="child was not started"):
        _ = child.process


def test_an_interrupt_waits_until_a_process_is_noted() -> None:
    """Ctrl-C and SIGTERM in the middle of a start come right after it, each as ever."""
    done: list[str] = []
    both = (signal.SIGINT, signal.SIGTERM)  # a shell's background jobs ignore the first
    usual = [signal.signal(number, signal.default_int_handler) for number in both]
    try:
        for number in both:

            def start(number: int = number) -> None:
                with interrupts_wait():
                    signal.raise_signal(number)
                    done.append("noted")

            with pytest.raises(KeyboardInterrupt):
                start()
    finally:
        for number, handler in zip(both, usual, strict=True):
            signal.signal(number, handler)
    assert done == ["noted"] * 2
