"""One server process of the stack: started, waited for, stopped within a deadline.

::

    StackFailed            something of the embedded stack cannot be started
    ├── PortTaken          another program listens on a port that was asked for
    └── ProcessDied        a server ended; carries the last lines of its log
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

HOST = "127.0.0.1"
PAUSE = 0.02


class StackFailed(Exception):
    """Something of the embedded stack cannot be started; the message says what to do."""


class PortTaken(StackFailed):
    """Another program listens on a port that was asked for."""

    def __init__(self, name: str, port: int, host: str) -> None:
        super().__init__(f"{name} cannot listen on {host}:{port}: the port is in use")


class ProcessDied(StackFailed):
    """A server ended, or was not ready in time."""


class Supervised:
    """A child process in a session of its own, so that Ctrl-C reaches us first, not it."""

    def __init__(
        self, name: str, command: Sequence[str], log: Path, env: Mapping[str, str] | None = None
    ) -> None:
        """Start nothing yet; output will be appended to ``log``, whose folder it runs in."""
        self.name = name
        self.log = log
        self._command = list(command)
        self._env = None if env is None else dict(env)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The process; raises StackFailed before :meth:`start`."""
        if self._process is None:
            raise StackFailed(f"{self.name} was not started")
        return self._process

    @property
    def is_running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start it; :meth:`wait_until` says when it can be used."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as output, interrupts_wait():
            self._process = subprocess.Popen(  # noqa: S603 - the command is ours
                self._command,
                env=self._env,
                cwd=self.log.parent,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def wait_until(self, ready: Callable[[], bool], *, within: float) -> None:
        """Return once ``ready()``; raises ProcessDied if it ends first or takes too long."""
        deadline = time.monotonic() + within
        while not ready():
            if not self.is_running:
                raise ProcessDied(self._epitaph(f"ended with status {self.process.returncode}"))
            if time.monotonic() > deadline:
                raise ProcessDied(self._epitaph(f"was not ready within {within:.0f} s"))
            time.sleep(PAUSE)

    def stop(self, *, within: float = 20.0) -> int:
        """Ask it to end (SIGTERM), make it end after ``within`` seconds; answers its status."""
        if self.is_running:
            self.process.terminate()
            try:
                self.process.wait(within)
            except subprocess.TimeoutExpired:
                self.kill()
        return self.process.wait() if self._process else 0

    def kill(self) -> None:
        """End it at once, with everything that it started (SIGKILL)."""
        if self.is_running:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def _epitaph(self, what: str) -> str:
        lines = self.log.read_text(errors="replace").splitlines()[-12:]
        return "\n  ".join([f"{self.name} {what}; the end of {self.log}:", *lines])


@contextmanager
def interrupts_wait() -> Iterator[None]:
    """Hold Ctrl-C and SIGTERM back for a moment: a process must not be born and not noted.

    They are seen to at the end, as they would have been. Signals are the main thread's
    business; elsewhere this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    numbers = (signal.SIGINT, signal.SIGTERM)
    usual = [signal.signal(number, lambda which, _: came.append(which)) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, usual, strict=True):
            signal.signal(number, handler)
        for late in came:
            signal.raise_signal(late)


def port_for(name: str, wanted: int | None, host: str = HOST) -> int:
    """``wanted`` if it is free, else PortTaken; a free port for None."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, wanted or 0))
        except OSError as error:
            raise PortTaken(name, wanted or 0, host) from error
        return int(probe.getsockname()[1])


@contextmanager
def kept_for_a_server(port: int, host: str = HOST) -> Iterator[None]:
    """Until the end no connection begins from ``port``; a server may begin to listen there.

    Linux lets connections begin from any free port of 32768 to 60999. Between the moment when
    a port was found free and the one when a server listens there, a client could get it.
    """
    with socket.socket() as keeper:
        keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            keeper.bind((host, port))
        except OSError as error:
            raise PortTaken("a service", port, host) from error
        yield


def listens(port: int, host: str = HOST) -> bool:
    """Whether something accepts connections on ``port``."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((host, port)) == 0
