"""Made-up interactions of a wanted size: what a machine is measured with, and a plan assumes.

Histories have geometric lengths. Of the data that we know, 99 of 100 histories are no
longer than 4.2 to 6 times the mean (Amazon's Beauty 6.0 and Sports 4.7, Complete Journey
4.8, flights of aeroplanes 4.2); of geometric ones it is 4.6 times. Items come in groups, and
a user keeps to three of them, so that there is something to learn.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from model_export.dataset import DAY, HELD_OUT, TRAIN, VALIDATION, Ids, Prepared, Source
from services.shared.model_input import PURCHASE

Ints = NDArray[np.int64]

GROUP: Final = 40
"""Items that the same users turn to,"""
TASTES: Final = 3
"""and how many such groups a user has."""
LEAST: Final = 3
"""Interactions of one user, so that one is left to train on when two are held out."""


def lengths(users: int, events: int, random: np.random.Generator) -> Ints:
    """How many interactions each of the users has: :data:`LEAST` at least, geometric above."""
    mean = max(events / users - LEAST, 0.0)
    return LEAST + random.geometric(1 / (mean + 1), size=users) - 1


def moments(each: Ints, lines: float, random: np.random.Generator) -> tuple[Ints, Ints]:
    """Users and times of R interactions; ``lines`` on average share a moment, moments a day apart.

    A user's last two moments are no basket but one interaction each.
    """
    users = np.repeat(np.arange(len(each)), each)
    starts = np.cumsum(each) - each
    place = np.arange(len(users)) - starts[users]
    new = (place == 0) | (place >= each[users] - 2) | (random.random(len(users)) < 1 / lines)
    moment = np.cumsum(new)
    return users, moment - moment[starts][users]


def made_up(users: int, items: int, events: int, *, lines: float = 1.0, seed: int = 1) -> Prepared:
    """About so many events, each item in one at least; each user's last is held out."""
    random = np.random.default_rng([seed, users, items, events])
    each = lengths(users, events, random)
    user, day = moments(each, lines, random)
    item = _items(user, users, items, random)
    spots = random.permutation(len(item))[:items]
    item[spots] = random.permutation(items)[: len(spots)]
    parts = np.full(len(user), TRAIN)
    stops = np.cumsum(each)
    parts[stops - 1], parts[stops - 2] = HELD_OUT, VALIDATION
    at = (day + 1) * DAY
    return Prepared(
        users=user.astype(np.int32),
        items=item.astype(np.int32),
        at=at,
        actions=np.full(len(user), PURCHASE, dtype=np.int8),
        parts=parts.astype(np.int8),
        sessions=day.astype(np.int32),
        ids=Ids(
            users=[f"u{number:07}" for number in range(users)],
            items=[f"i{number:07}" for number in range(items)],
            queries=[],
            groups=[None] * users,
        ),
        source=_source(len(user), items, int(at.max())),
    )


def _items(user: Ints, users: int, items: int, random: np.random.Generator) -> Ints:
    """[R]: within the groups of each one's user, the first items of a group more often."""
    groups = -(-items // GROUP)
    tastes = random.integers(groups, size=(users, TASTES))
    chosen = tastes[user, random.integers(TASTES, size=len(user))]
    within = (GROUP * random.random(len(user)) ** 2).astype(np.int64)
    found: Ints = np.minimum(chosen * GROUP + within, items - 1)
    return found


def _source(rows: int, items: int, last_at: int) -> Source:
    return Source(
        name="made up",
        sha256="0" * 64,
        split="leave one out",
        rows_read=rows,
        rows_kept=rows,
        left_out={},
        first_at=DAY,
        last_at=last_at,
        validation_from=0,
        held_out_from=0,
        catalogue_size=items,
    )
