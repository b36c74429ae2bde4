"""What predicates say of every row of a catalogue, kept and brought up to date.

A predicate that is asked again costs what changed since, not the catalogue: a thousand changes
a second are ten rows for each of a hundred calls.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from services.recommendations.domain.changes import Changes
from services.recommendations.domain.columns import grown

KEPT_BYTES: Final = 32 * 2**20
"""For each catalogue: thirty predicates over a million products."""

KEPT_PREDICATES: Final = 256

SLICE_ROWS: Final = 2_048
"""Three milliseconds, where titles are matched with a pattern."""

States = NDArray[np.uint8]
"""[n] what a predicate says of each row, a number each."""


@dataclass(slots=True)
class _Kept:
    states: States
    revision: int
    minute: int


class KeptMasks:
    """The predicates that were asked last; the one not asked for longest is dropped first."""

    def __init__(self, limit: int = KEPT_BYTES) -> None:
        self._limit = limit
        self.size = 0
        """Bytes: one for each predicate and row."""
        self._kept: dict[str, _Kept] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def states(
        self,
        key: str,
        compute: Callable[[NDArray[np.intp] | None], States],
        *,
        changes: Changes,
        rows: int,
        minute: int = 0,
    ) -> States:
        """[rows] what the predicate ``key`` says now: a view, valid until the catalogue changes.

        ``compute`` says it of some rows, or of all where told none. It is asked for all rows
        when the predicate is new, when ``minute`` is another one than last time, and when more
        has changed than ``changes`` remembers.
        """
        kept = self._take(key)
        changed = changes.since(kept.revision) if kept and kept.minute == minute else None
        if kept is None or changed is None:
            kept = _Kept(compute(None), changes.revision, minute)
        elif changed.size:
            if len(kept.states) < rows:
                kept.states = grown(kept.states, max(rows, 2 * len(kept.states)))
            kept.states[changed] = compute(changed)
            kept.revision = changes.revision
        self._keep(key, kept)
        return kept.states[:rows]

    def is_ready(self, key: str, *, changes: Changes, rows: int) -> bool:
        """Whether no more than a slice is left for :meth:`states` to compute."""
        kept = self._kept.get(key)
        since = rows if kept is None else changes.revision - kept.revision
        return since <= SLICE_ROWS

    def prepare(
        self,
        key: str,
        compute: Callable[[NDArray[np.intp] | None], States],
        *,
        changes: Changes,
        rows: int,
    ) -> Iterator[None]:
        """Compute ``key`` in slices, with a pause after each, so that calls have their turn.

        What changes meanwhile is brought up to date when it is asked for.
        """
        if self.is_ready(key, changes=changes, rows=rows):
            return
        old, new = self._kept.get(key), _Kept(np.zeros(rows, dtype=np.uint8), changes.revision, 0)
        changed = changes.since(old.revision) if old else None
        if old is None or changed is None:
            changed = np.arange(rows)
        else:
            known = old.states[:rows]
            new.states[: len(known)] = known
        for start in range(0, len(changed), SLICE_ROWS):
            some = changed[start : start + SLICE_ROWS]
            new.states[some] = compute(some)
            yield
        self._take(key)
        self._keep(key, new)

    def _take(self, key: str) -> _Kept | None:
        kept = self._kept.pop(key, None)
        self.size -= len(kept.states) if kept else 0
        return kept

    def _keep(self, key: str, kept: _Kept) -> None:
        """As the newest one, in place of those that have not been asked for longest."""
        self._kept[key] = kept
        self.size += len(kept.states)
        while len(self._kept) > KEPT_PREDICATES or (self.size > self._limit and len(self) > 1):
            self._take(next(iter(self._kept)))
