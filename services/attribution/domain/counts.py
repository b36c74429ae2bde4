"""What a trail adds to the figures; what changed in it is the difference of two such sums.

All figures of a list stand on the day of the list (UTC), whenever something was clicked or bought:
clicks of a day are clicks of that day's lists, so their quotient is a rate. Impressions and clicks
are of different products of a list: one that is seen five times is seen.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from services.attribution.domain.credit import credited
from services.shared.trail import DAY, Shown, Trail

ANSWERS: Final = "answers"
SHOWN: Final = "shown"
IMPRESSIONS: Final = "impressions"
CLICKS: Final = "clicks"
CARTS: Final = "carts"
PURCHASES: Final = "purchases"
VALUE: Final = "value "
"""Before a currency; in millionths of it."""

Names = tuple[str | int, ...]


NO_DAY: Final = -1


class Row(NamedTuple):
    """What is counted together."""

    shop_id: str
    day: int
    """Days since 1970, of the lists; :data:`NO_DAY`: of an experiment, whatever the day."""
    names: Names
    """Scenario, method, source, model version, and experiment and arm, both "" in the row of all
    lists; of an experiment its name and the arm."""


Counts = Mapping[Row, Mapping[str, int]]
"""Of each row its measures; what is not there is 0."""


def figures(trail: Trail) -> Counts:
    """What the trail's lists come to."""
    found: defaultdict[Row, Counter[str]] = defaultdict(Counter)
    for shown in trail.shown:
        for row in rows_of(trail.shop_id, shown):
            found[row][ANSWERS] += 1
            found[row][SHOWN] += len(shown.products)
            found[row][IMPRESSIONS] += len(shown.seen)
            found[row][CLICKS] += len(shown.clicked)
    for act, line, lists in credited(trail):
        for shown in lists:
            for row in rows_of(trail.shop_id, shown):
                found[row][CARTS if act.kind == "cart" else PURCHASES] += 1
                if line.currency:
                    found[row][VALUE + line.currency] += line.amount
    return found


def rows_of(shop_id: str, shown: Shown) -> Iterator[Row]:
    """The row of all lists that were made so, and one for each arm that it was made in."""
    day, labels = shown.at // DAY, shown.labels
    names = labels.scenario, labels.method, labels.source, labels.model_version
    for experiment, arm in (("", ""), *labels.arms):
        yield Row(shop_id, day, (*names, experiment, arm))


def changes(before: Counts, after: Counts) -> dict[Row, dict[str, int]]:
    """By how much each measure grew or shrank; what stayed the same is left out."""
    changed = {}
    for row in before.keys() | after.keys():
        was, now = before.get(row, {}), after.get(row, {})
        grown = {name: now.get(name, 0) - was.get(name, 0) for name in was.keys() | now.keys()}
        if some := {name: by for name, by in grown.items() if by}:
            changed[row] = some
    return changed
