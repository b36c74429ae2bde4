"""The folder in which a round of retraining works, for one shop: what is done, and what is held.

::

    <folder>/<shop>/lock          held by the process of a round and its children
    <folder>/<shop>/round.json    how far the round has come
    <folder>/<shop>/data, checkpoint, bundle, served
    <folder>/<shop>/last.json     how the last round ended

A file is put whole. A step is noted once it is done, so a kill before that has it done again; each
step replaces what it made as a whole.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final, TypeVar

import msgspec

from services.shared.errors import ServingRefused, StorageUnavailable

ROUND: Final = "round.json"
LAST: Final = "last.json"
MADE: Final = ("data", "checkpoint", "bundle", "served")

T = TypeVar("T", bound=msgspec.Struct)


class Gated(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the gate has said."""

    candidate: str
    against: str | None
    """What was served then."""


class Progress(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How far a round has come."""

    began_at: int
    """Microseconds since 1970."""
    told: tuple[str, ...]
    """By what its bundle is made; a round that is told otherwise is another one."""
    seconds: dict[str, float] = {}
    """Of each step that is done, in their order: how long it took."""
    gated: Gated | None = None


class Ending(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a round has ended."""

    shop_id: str
    outcome: str
    """``on trial``, ``nothing new``, ``published``, ``waiting``, ``refused`` or ``unfinished``."""
    says: str
    version: str = ""
    began_at: int
    ended_at: int
    seconds: dict[str, float]


class RoundFolder:
    """See the module. All methods raise StorageUnavailable."""

    def __init__(self, folder: Path, lock: int) -> None:
        """``lock`` is the descriptor that holds the folder."""
        self.folder = folder
        self.lock = lock

    def place(self, name: str) -> Path:
        """Where a step puts what it makes."""
        return self.folder / name

    def progress(self) -> Progress | None:
        """Of the round that was begun and has not ended. Raises ServingRefused."""
        return self._read(ROUND, Progress)

    def begin(self, progress: Progress) -> None:
        """Remove what an earlier round has left, and begin."""
        with _reaching(self.folder):
            (self.folder / ROUND).unlink(missing_ok=True)
            for name in MADE:
                shutil.rmtree(self.folder / name, ignore_errors=True)
        self.note(progress)

    def note(self, progress: Progress) -> None:
        """Keep how far the round has come."""
        self._write(ROUND, progress)

    def end(self, ending: Ending, *, is_over: bool) -> None:
        """Keep how it ended; the next one begins anew where it ``is_over``, and else goes on."""
        self._write(LAST, ending)
        if is_over:
            with _reaching(self.folder):
                (self.folder / ROUND).unlink(missing_ok=True)

    def emptied(self, name: str) -> Path:
        """A folder with nothing in it."""
        path = self.folder / name
        with _reaching(path):
            shutil.rmtree(path, ignore_errors=True)
            path.mkdir()
        return path

    def _read(self, name: str, kind: type[T]) -> T | None:
        path = self.folder / name
        with _reaching(path):
            try:
                return msgspec.json.decode(path.read_bytes(), type=kind)
            except FileNotFoundError:
                return None
            except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                raise ServingRefused(f"{path} is no progress of a round: {error}") from error

    def _write(self, name: str, document: msgspec.Struct) -> None:
        path, writing = self.folder / name, self.folder / f".{name}"
        with _reaching(path), writing.open("wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(document)) + b"\n")
            file.flush()
            os.fsync(file.fileno())
            writing.replace(path)


@contextmanager
def opened(folder: Path) -> Iterator[RoundFolder]:
    """The folder, made if absent, for this round alone while the block runs.

    Raises StorageUnavailable where it cannot be written to, or a round, or what one that was killed
    has left behind, is at work in it.
    """
    with _reaching(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock: IO[bytes] = (folder / "lock").open("wb")
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StorageUnavailable(f"another round is at work in {folder}") from error
        yield RoundFolder(folder, lock.fileno())


@contextmanager
def _reaching(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageUnavailable(f"{path}: {error.strerror or error}") from error
