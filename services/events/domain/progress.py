"""How far an import has come: what a second run needs to know of the first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Literal

import msgspec

from services.shared.errors import BadSetting


class FileProgress(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What became of a file's first rows."""

    size: int
    sha256: str
    rows: int = 0
    """So many are done: their events are in Kafka, or they are among the rejects."""
    events: int = 0
    refused: dict[str, int] = {}
    """Rows by the code that they were refused with."""
    is_done: bool = False


class Progress(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An import's whole state; everything in it was acknowledged by Kafka."""

    shop_id: str
    mapping_sha256: str
    topic_id: str
    files: dict[str, FileProgress] = {}
    rejects_bytes: int = 0
    """So much of the file of rejects belongs to the rows that are done."""
    layout: Literal[1] = 1

    def noted(self, path: str, file: FileProgress, *, rejects_bytes: int) -> Progress:
        """With a file's progress renewed."""
        files = {**self.files, path: file}
        return msgspec.structs.replace(self, files=files, rejects_bytes=rejects_bytes)

    def ended(self, path: str) -> Progress:
        """With a file done to its end."""
        files = {**self.files, path: msgspec.structs.replace(self.files[path], is_done=True)}
        return msgspec.structs.replace(self, files=files)


def taken_up(earlier: Progress | None, now: Progress) -> Progress:
    """From where on an import goes; ``now`` is what it was told, with its files untouched.

    Raises BadSetting where what was told is another import than the earlier one: rows that are
    done would be others.
    """
    if earlier is None:
        return now
    for what in ("shop_id", "mapping_sha256", "topic_id"):
        if getattr(earlier, what) != getattr(now, what):
            raise BadSetting(f"{_MEANS[what]}. {_ANEW}")
    files = dict(earlier.files)
    for path, file in now.files.items():
        known = files.setdefault(path, file)
        if (known.size, known.sha256) != (file.size, file.sha256):
            raise BadSetting(
                f"{path} has changed since {known.rows:,} rows of it were done. {_ANEW}"
            )
    return msgspec.structs.replace(earlier, files=files)


def refused_of(files: Mapping[str, FileProgress]) -> Counter[str]:
    """Refused rows of all files by code."""
    counts: Counter[str] = Counter()
    for file in files.values():
        counts.update(file.refused)
    return counts


_MEANS = {
    "shop_id": "another shop's files were imported with this folder",
    "mapping_sha256": "the mapping has changed since rows were imported with it",
    "topic_id": "the topic is not the one that rows were imported into",
}
_ANEW = (
    "To import everything anew, name another --folder; an event that comes out as before "
    "counts once"
)
