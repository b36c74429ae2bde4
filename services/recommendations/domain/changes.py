"""Which rows of a catalogue changed since one looked last."""

from __future__ import annotations

from array import array
from typing import Final

import numpy as np
from numpy.typing import NDArray

KEPT_CHANGES: Final = 65_536
"""How many changes are remembered at least: a minute of a lively feed, a quarter of a megabyte."""


class Changes:
    """A bounded log. Who has not looked for longer than it reaches must look at all rows."""

    def __init__(self) -> None:
        self.revision = 0
        """One more with each change."""
        self._rows = array("i")

    def note(self, row: int) -> None:
        """The row changes now."""
        self.revision += 1
        self._rows.append(row)
        if len(self._rows) >= 2 * KEPT_CHANGES:
            del self._rows[:KEPT_CHANGES]

    def since(self, revision: int) -> NDArray[np.intp] | None:
        """The rows that changed after ``revision``, each once; None if it is too long ago."""
        count = self.revision - revision
        if count > len(self._rows):
            return None
        changed = self._rows[len(self._rows) - count :]
        return np.unique(np.array(changed, dtype=np.intp))
