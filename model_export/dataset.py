"""A prepared data set: interactions as arrays, split into parts, in a folder of its own.

::

    interactions.npz   users, items, at, actions, parts: one entry for each interaction
    ids.json           the user ids and item ids that the numbers stand for
    prepared.json      where it came from, its SHA-256, its span, what was left out and why
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from model_export.errors import DataRefused

DAY: Final = 86_400_000_000
"""In microseconds, as all times here are."""

TRAIN: Final = 0
VALIDATION: Final = 1
HELD_OUT: Final = 2


class Source(msgspec.Struct, frozen=True):
    """What a data set was made from and what became of it. Times are microseconds since 1970."""

    name: str
    sha256: str
    split: str
    rows_read: int
    rows_kept: int
    left_out: dict[str, int]
    """Reason → rows."""
    first_at: int
    last_at: int
    validation_from: int
    """0 where the split goes by position, not by time."""
    held_out_from: int
    catalogue_size: int
    """Products that can be recommended, also those nobody bought."""


class Ids(msgspec.Struct, frozen=True):
    """The ids behind the numbers, ascending."""

    users: list[str]
    items: list[str]


@dataclass(frozen=True, slots=True)
class Prepared:
    """N interactions, ordered by (user, time, place in the input)."""

    users: NDArray[np.int32]
    """[N] positions in ``ids.users``."""
    items: NDArray[np.int32]
    """[N] positions in ``ids.items``; ascending ids, so ties break by id."""
    at: NDArray[np.int64]
    """[N] microseconds since 1970."""
    actions: NDArray[np.int8]
    """[N] values of ``model_input.ACTIONS``."""
    parts: NDArray[np.int8]
    """[N] TRAIN, VALIDATION or HELD_OUT."""
    ids: Ids
    source: Source


class Basket(NamedTuple):
    """What one user did at one time: rows ``start`` to ``stop`` of a user's rows from ``first``."""

    user: int
    first: int
    start: int
    stop: int


def baskets(data: Prepared, part: int) -> Iterator[Basket]:
    """The baskets of one part, in the order of the data.

    A basket is everything of one user at one time: an order's lines, or a single event.
    """
    if not len(data.users):
        return
    new_user = np.diff(data.users, prepend=-1) != 0
    starts = np.flatnonzero(new_user | (np.diff(data.at, prepend=-1) != 0))
    stops = np.append(starts[1:], len(data.users))
    firsts = np.flatnonzero(new_user)[np.cumsum(new_user)[starts] - 1]
    wanted = data.parts[starts] == part
    for first, start, stop in zip(
        firsts[wanted].tolist(), starts[wanted].tolist(), stops[wanted].tolist(), strict=True
    ):
        yield Basket(int(data.users[start]), first, start, stop)


def vocabulary_index(data: Prepared, known: NDArray[np.integer]) -> NDArray[np.int64]:
    """[items] the index of each item in a vocabulary of ``known``, from 1; 0 for the others."""
    index = np.zeros(len(data.ids.items), dtype=np.int64)
    index[known] = np.arange(1, len(known) + 1)
    return index


def save(data: Prepared, folder: Path) -> None:
    """Write ``data`` to ``folder``, made if need be."""
    folder.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(
        folder / "interactions.npz",
        users=data.users,
        items=data.items,
        at=data.at,
        actions=data.actions,
        parts=data.parts,
    )
    (folder / "ids.json").write_bytes(msgspec.json.encode(data.ids))
    source = msgspec.json.format(msgspec.json.encode(data.source), indent=2)
    (folder / "prepared.json").write_bytes(source + b"\n")


def load(folder: Path) -> Prepared:
    """Read what :func:`save` wrote. Raises DataRefused."""
    try:
        ids = msgspec.json.decode((folder / "ids.json").read_bytes(), type=Ids)
        source = msgspec.json.decode((folder / "prepared.json").read_bytes(), type=Source)
        with np.load(folder / "interactions.npz", allow_pickle=False) as file:
            return Prepared(**{name: file[name] for name in file.files}, ids=ids, source=source)
    except FileNotFoundError as error:
        raise DataRefused(
            f"{error.filename} is missing: make the folder with 'python -m model_export prepare'"
        ) from error
    except (msgspec.MsgspecError, ValueError, TypeError, OSError, zipfile.BadZipFile) as error:
        raise DataRefused(f"{folder} is no prepared data set: {error}") from error
