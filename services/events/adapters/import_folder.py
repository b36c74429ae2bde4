"""Where an import remembers how far it is, and puts what it refuses: a folder on disk."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final, Protocol

import msgspec

from services.events.domain.chunks import Reject
from services.events.domain.progress import Progress
from services.shared.errors import BadSetting

PROGRESS: Final = "progress.json"
REJECTS: Final = "rejects.jsonl"
PROGRESS_BYTES: Final = 16 << 20


class Memory(Protocol):
    """Keeps an import's progress and its rejects."""

    def add_rejects(self, file: str, rejects: Sequence[Reject]) -> int:
        """Keep refused rows of a file; answers the size of all that are kept.

        They count once :meth:`save` has a progress that says so.
        """
        ...

    def save(self, progress: Progress) -> None:
        """Keep the progress; on disk when this returns, and never half."""
        ...


class ImportFolder:
    """A folder that one import at a time works in; see :func:`opened`."""

    def __init__(self, folder: Path) -> None:
        """Opens the rejects. Raises BadSetting where there is a progress that is none."""
        self._folder = folder
        self.earlier = self._load()
        kept = self.earlier.rejects_bytes if self.earlier else 0
        self._rejects = _opened(self.rejects, os.O_APPEND, "ab")
        if self._rejects.tell() < kept:
            raise BadSetting(f"{self.rejects} was cut; put it back or name another --folder")
        self._rejects.truncate(kept)  # what came after was of rows that are done again
        self._rejects.seek(kept)

    @property
    def rejects(self) -> Path:
        """Where the rejects are."""
        return self._folder / REJECTS

    def add_rejects(self, file: str, rejects: Sequence[Reject]) -> int:
        """See :class:`Memory`."""
        for row, code, reason in rejects:
            told = {"file": file, "row": row.number, "code": code, "reason": reason}
            self._rejects.write(msgspec.json.encode({**told, "cells": row.cells}) + b"\n")
        return self._rejects.tell()

    def save(self, progress: Progress) -> None:
        """See :class:`Memory`."""
        self._rejects.flush()
        os.fsync(self._rejects.fileno())
        new = self._folder / (PROGRESS + ".new")
        with _opened(new, os.O_TRUNC, "wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(progress)) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        new.replace(self._folder / PROGRESS)
        _sync(self._folder)

    def close(self) -> None:
        """Let go of the rejects."""
        self._rejects.close()

    def _load(self) -> Progress | None:
        path = self._folder / PROGRESS
        if not path.exists():
            return None
        try:
            with path.open("rb") as file:
                return msgspec.json.decode(file.read(PROGRESS_BYTES), type=Progress)
        except msgspec.MsgspecError as error:
            raise BadSetting(f"{path} is no progress of an import: {error}") from error


@contextmanager
def opened(folder: Path) -> Iterator[ImportFolder]:
    """The folder, made if absent, for this process alone while the block runs.

    Raises BadSetting where it cannot be written to, or another import works in it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _opened(folder / "lock", 0, "wb") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise BadSetting(f"another import works in {folder}") from error
            made = ImportFolder(folder)
            try:
                yield made
            finally:
                made.close()
    except OSError as error:
        raise BadSetting(f"--folder {folder}: {error.strerror or error}") from error


def _opened(path: Path, flags: int, mode: str) -> IO[bytes]:
    """A file to write to, made if absent; others may not read it, as it holds shoppers' data."""
    return os.fdopen(os.open(path, flags | os.O_WRONLY | os.O_CREAT, 0o600), mode)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
