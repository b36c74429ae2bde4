"""From facts about one shopper to what they change: the trail, and the figures."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from services.attribution.domain.counts import Counts, Row, changes, figures
from services.attribution.domain.credit import told
from services.attribution.domain.facts import Fact
from services.attribution.domain.joining import joined, pruned
from services.attribution.domain.units import Known, closed, exposures
from services.shared.trail import Act, Cancel, Trail


class Followed(NamedTuple):
    """What became of a trail."""

    trail: Trail
    grown: Counts
    """By how much measures grew, or shrank."""
    letters: Sequence[Act | Cancel]
    """What other trails are to hear, each told by its ``to``."""


def followed(
    trail: Trail,
    facts: Iterable[Fact],
    known: Known,
    *,
    now: int,
    heard: Iterable[Act | Cancel] = (),
) -> Followed:
    """Add facts, close the windows that can be by ``now``, and leave out what is too old.

    ``heard`` is what another trail has told of its shopper, the newest last.
    """
    after = joined(trail, facts, known, heard)
    grown = [changes(counted(trail, known), counted(after, known))]
    after, outcomes = closed(after, known, now)
    before = told(trail)
    letters = [each for each in told(after) if each not in before]
    return Followed(pruned(after), summed([*grown, outcomes]), letters)


def counted(trail: Trail, known: Known) -> Counts:
    """All that follows from a trail at once, and may change with it."""
    return {**figures(trail), **exposures(trail, known)}


def summed(parts: Iterable[Counts]) -> Counts:
    """The parts in one."""
    total: defaultdict[Row, Counter[str]] = defaultdict(Counter)
    for part in parts:
        for row, measures in part.items():
            for name, value in measures.items():
                total[row][name] += value
    return total
