"""A folder that appears whole or not at all, in the place of the one that was there.

It is written beside its place, under a name that starts with a dot, and renamed when all of it
is on disk. What was interrupted leaves the former folder untouched, and is removed when the
same folder is written the next time.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import polars as pl

from model_export.errors import DataRefused

WRITING: Final = "writing"
OLD: Final = "old"
MARK: Final = "prepared.json"
"""What tells a prepared folder from any other."""


@contextmanager
def replaced(folder: Path) -> Iterator[Path]:
    """A new folder to write into, which takes the place of ``folder`` when the block ends well.

    Raises DataRefused where ``folder`` is there and is no prepared folder, and where it cannot
    be written (the disk is full, say).
    """
    if folder.exists() and any(folder.iterdir()) and not (folder / MARK).exists():
        raise DataRefused(f"{folder} is there and is no prepared folder; name a new one")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        _remove_left(folder)
        writing = _beside(folder, WRITING)
        writing.mkdir()
        try:
            with _held(writing):
                yield writing
                _flush(writing)
            _swap(folder, writing)
        finally:
            shutil.rmtree(writing, ignore_errors=True)
    except OSError as error:
        raise _unwritable(folder, error) from error
    except pl.exceptions.PolarsError as error:
        raise DataRefused(f"{folder} cannot be made: {error}") from error


def _unwritable(folder: Path, error: OSError) -> DataRefused:
    full = error.errno == errno.ENOSPC or "No space left" in str(error)
    what = "its disk is full" if full else str(error)
    return DataRefused(f"{folder} cannot be written: {what}. What was there before is untouched")


def _beside(folder: Path, what: str) -> Path:
    return folder.with_name(f".{folder.name}.{what}-{secrets.token_hex(4)}")


def _remove_left(folder: Path) -> None:
    """Remove what interrupted runs have left; put the former folder back if one got lost."""
    for old in folder.parent.glob(f".{folder.name}.{OLD}-*"):
        if folder.exists():
            shutil.rmtree(old, ignore_errors=True)
        else:
            old.rename(folder)
    for left in folder.parent.glob(f".{folder.name}.{WRITING}-*"):
        try:
            with _held(left):
                shutil.rmtree(left)
        except BlockingIOError:
            continue  # somebody is at it right now


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Hold the folder as one that is being written; a process that dies lets go of it."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def _flush(folder: Path) -> None:
    """Have all files on disk, so that a power cut cannot leave a name without its bytes."""
    for path in [*folder.rglob("*"), folder]:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _swap(folder: Path, writing: Path) -> None:
    old = _beside(folder, OLD)
    if folder.exists():
        folder.rename(old)
    writing.rename(folder)
    shutil.rmtree(old, ignore_errors=True)
