"""Writes a file of a training beside its place, so that what is there stays until it is whole."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from model_export.errors import CheckpointNotWritten


def written_beside(path: Path, write: Callable[[BinaryIO], object]) -> Path:
    """A file beside ``path``, whole and on disk, that can be renamed to it.

    Its folder is made if need be. Raises CheckpointNotWritten where the disk does not take it;
    then nothing is left beside ``path``.
    """
    beside = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with beside.open("wb") as file:
                write(file)
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            beside.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise CheckpointNotWritten(
            f"{path} cannot be written: {error.strerror or error}. The checkpoint that was there "
            "before is untouched; make room on the disk and give the command again, without "
            "--restart: the training goes on from the last state that was written"
        ) from error
    return beside
