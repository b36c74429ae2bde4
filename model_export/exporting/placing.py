"""A folder appears at once and whole, or not at all; what was there before stays until then.

The new folder is filled beside its place, everything in it is on disk before it moves, and the
two change places in one step (Linux's ``renameat2`` with RENAME_EXCHANGE), so that whoever
looks, and whatever is killed when, finds the one or the other. Where the file system cannot
exchange, the old folder is moved away first: then for a moment there is none.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from model_export.errors import BundleNotWritten

AT_FDCWD: Final = -100
RENAME_EXCHANGE: Final = 2
CANNOT: Final = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP)
"""What a kernel or file system says that does not know how to exchange."""


@contextlib.contextmanager
def appearing(target: Path) -> Iterator[Path]:
    """An empty folder to fill; where the block ends without error it becomes ``target``.

    Raises BundleNotWritten where the disk is full or may not be written; then, and after any
    other error, ``target`` is as it was. What a killed process left beside it is removed.
    """
    beside: Path | None = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        beside, lock = _own_folder(target)
        try:
            made = beside / "made"
            made.mkdir()
            yield made
            _sync(made)
            if target.exists():
                _exchange(made, target)
            else:
                made.rename(target)
            _sync_one(target.parent)
        finally:
            shutil.rmtree(beside, ignore_errors=True)
            os.close(lock)
    except OSError as error:
        raise BundleNotWritten(
            f"{target} is as it was: writing a bundle beside it failed ({error}); make room there, "
            "or name another folder"
        ) from error


def _own_folder(target: Path) -> tuple[Path, int]:
    """A new folder beside ``target``, locked for as long as the descriptor is open."""
    with _locked(target.parent):
        for left in target.parent.glob(f".{target.name}-*"):
            with contextlib.suppress(OSError), _locked(left, wait=False):
                shutil.rmtree(left, ignore_errors=True)
        beside = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}-"))
        lock = os.open(beside, os.O_RDONLY)
        fcntl.flock(lock, fcntl.LOCK_EX)
    return beside, lock


@contextlib.contextmanager
def _locked(folder: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold the folder's lock, which ends with its holder. Raises BlockingIOError if not to wait."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def _exchange(made: Path, target: Path) -> None:
    """Let the two folders change places."""
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is not None:
        paths = (os.fsencode(made), os.fsencode(target))
        if not rename(AT_FDCWD, paths[0], AT_FDCWD, paths[1], RENAME_EXCHANGE):
            return
        number = ctypes.get_errno()
        if number not in CANNOT:
            raise OSError(number, os.strerror(number), str(target))
    target.rename(made.with_name("before"))
    made.rename(target)


def _sync(folder: Path) -> None:
    """Have every file of ``folder``, and the folder, on disk."""
    for path in folder.iterdir():
        _sync_one(path)
    _sync_one(folder)


def _sync_one(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
