"""What is asked of the held-out baskets, of all of them and of segments.

A *question* is a set of cases and, for each, the products that count:

- **all** and **new purchases**: what is in the basket, and what of it for the first time;
- **new** and **known shoppers**: baskets of users with fewer than :data:`FEW` interactions
  before them, of any kind, and the other baskets;
- **head** and **tail products**: head products are the fewest that take half of the training
  part's views, clicks, carts and purchases together; the others are tail products. Of a
  basket only the products of the one or the other kind count, among rankings of everything;
- **group …**: baskets of the users of one demographic group, where the data tells groups.

Segments are asked of all purchases; where no basket holds anything that its user had bought
before, of new ones, so that rankings need not spend places on what is not bought again. A
segment of few users says little: it has no figures of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from model_export.dataset import TRAIN, Prepared
from model_export.evaluation.cases import Case
from services.shared.model_input import TARGETS

FEW: Final = 10
"""A user with fewer interactions before a basket is a new shopper there."""
HEAD_SHARE: Final = 0.5
LARGE: Final = 100
"""A segment of so many users is large: it has figures, and a candidate must hold them."""

ALL: Final = "all purchases"
NEW: Final = "new purchases"


class Question(NamedTuple):
    """Some of the cases, and for each of them what is relevant."""

    name: str
    places: NDArray[np.int64]
    """Which of the cases, ascending."""
    relevant: list[NDArray[np.int32]]
    """For each of these the products that count, at least one."""
    users: int
    """How many users these cases are of."""
    is_new: bool = False
    """Whether what the user had bought is left out of the rankings."""


Relevant = Callable[[Case], NDArray[np.int32]]


def whole(cases: Sequence[Case]) -> list[Question]:
    """All purchases and, where there are any, new ones."""
    found = [
        _question(ALL, cases, lambda case: case.relevant),
        _question(NEW, cases, lambda case: case.new)._replace(is_new=True),
    ]
    return [each for each in found if each.users]


def segments(
    data: Prepared, cases: Sequence[Case], *, large: int = LARGE
) -> tuple[list[Question], list[str]]:
    """The segments of at least ``large`` users, and the names of those that have fewer."""
    found = [
        _question("new shoppers", cases, _if(lambda case: not _is_known(case))),
        _question("known shoppers", cases, _if(_is_known)),
        *_by_products(cases, head(data)),
    ]
    groups = data.ids.groups
    for group in sorted({each for each in groups if each is not None}):
        members = np.array([each == group for each in groups])
        found.append(_question(f"group {group}", cases, _if(_in(members))))
    is_new = nothing_again(cases)
    there = [each._replace(is_new=is_new) for each in found if each.users]
    return (
        [each for each in there if each.users >= large],
        [each.name for each in there if each.users < large],
    )


def nothing_again(cases: Sequence[Case]) -> bool:
    """Whether no basket holds anything that its user had bought before."""
    return all(len(case.new) == len(case.relevant) for case in cases)


def head(data: Prepared) -> NDArray[np.bool_]:
    """[items] whether it is one of the fewest that take half of the training interactions."""
    seen = (data.parts == TRAIN) & np.isin(data.actions, TARGETS)
    counts = np.bincount(data.items[seen], minlength=len(data.ids.items))
    order = np.argsort(-counts, kind="stable")
    taken = np.cumsum(counts[order])
    found = np.zeros(len(counts), dtype=bool)
    found[order[: int(np.searchsorted(taken, HEAD_SHARE * taken[-1])) + 1]] = True
    return found


def _is_known(case: Case) -> bool:
    return bool(case.before.stop - case.before.start >= FEW)


def _in(members: NDArray[np.bool_]) -> Callable[[Case], bool]:
    return lambda case: bool(members[case.user])


def _if(wanted: Callable[[Case], bool]) -> Relevant:
    """All of a basket where the case is wanted, else nothing."""
    return lambda case: case.relevant if wanted(case) else case.relevant[:0]


def _by_products(cases: Sequence[Case], is_head: NDArray[np.bool_]) -> list[Question]:
    return [
        _question("head products", cases, lambda case: case.relevant[is_head[case.relevant]]),
        _question("tail products", cases, lambda case: case.relevant[~is_head[case.relevant]]),
    ]


def _question(name: str, cases: Sequence[Case], relevant: Relevant) -> Question:
    wanted = [relevant(case) for case in cases]
    places = [place for place, each in enumerate(wanted) if len(each)]
    return Question(
        name,
        np.array(places, dtype=np.int64),
        [wanted[place] for place in places],
        len({cases[place].user for place in places}),
    )
