"""What a plan knows of the data: figures, and a sample of the histories behind them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from model_export.dataset import DAY, TRAIN, VALIDATION, Interactions, vocabulary_index
from model_export.errors import DataRefused
from model_export.planning.synthetic import lengths, moments
from model_export.prepared_folder import SHARD_ROWS, Shards, load_about
from model_export.training.sequences import Histories, histories
from model_export.training.statistics import Statistics, statistics
from model_export.training.validation import MOST_CASES
from services.shared.model_input import PURCHASE

Ints = NDArray[np.int64]

SAMPLE: Final = 200_000
"""Rows of the histories that are looked at closely; the rest is taken to be like them."""
LEAST_SAMPLE: Final = 50
"""Users that are looked at closely, however long their histories are."""


@dataclass(frozen=True, slots=True)
class Facts:
    """A data set as far as training's costs depend on it."""

    name: str
    told: Statistics
    """Of the training part: from it settings are derived."""
    rows: int
    """Interactions in all parts, searches included."""
    learned: int
    """Of these, what training packs into rows."""
    shards: int
    users: int
    """Users and items of all parts, with their ids in memory."""
    items: int
    cases: int
    """Baskets that validate, :data:`MOST_CASES` at most."""
    sample: Histories
    """Some users' histories of the training part."""
    queries: int = 0
    feature_names: int = 0
    features: int = 0
    """Of one item at most."""
    text: int = 0
    """Numbers in a text vector."""


def assumed(
    users: int, items: int, events: int, *, lines: float = 1.0, repeats: float = 0.0, text: int = 0
) -> Facts:
    """What can be said of data that nobody has looked at. Raises DataRefused.

    All events train, which is a little more than will. Lengths are geometric
    (:mod:`model_export.planning.synthetic`), ``lines`` share a moment on average,
    ``repeats`` is the share of events whose item the user had before.
    """
    if lines < 1 or not 0 <= repeats <= 1:
        raise DataRefused(
            f"{lines:g} lines, {repeats:g} repeats: 1 line or more, and a share 0 to 1"
        )
    if users < 1 or events < 3 * users:
        raise DataRefused(
            f"{events:,} events of {users:,} users: fewer than 3 for each; leave out of --users "
            "who came once or twice, there is nothing to learn from them"
        )
    if items < 2 or items > events:
        raise DataRefused(f"{items:,} items: there must be two or more, each in one event or more")
    sampled = min(users, max(LEAST_SAMPLE, SAMPLE * users // events))
    random = np.random.default_rng(1)
    each = lengths(sampled, sampled * events // users, random)
    user, day = moments(each, lines, random)
    return Facts(
        name="data as described",
        told=Statistics(
            users=users,
            items=items,
            interactions=events,
            long_history=int(np.quantile(each, 0.99)),
            repeats=repeats,
            has_content=text > 0,
        ),
        rows=events,
        learned=events,
        shards=-(-events // SHARD_ROWS),
        users=users,
        items=items,
        cases=min(users, MOST_CASES),
        sample=_histories(user, day),
        text=text,
    )


def measured(folder: Path) -> Facts:
    """What a prepared folder holds: one pass, and a closer look at its first shard.

    Raises DataRefused.
    """
    about, shards = load_about(folder), Shards(folder)
    ids, source, content = about
    told, counts = statistics(shards, ids, content)
    index = vocabulary_index(ids, np.flatnonzero(counts))
    first = shards[0]
    learned = int(np.count_nonzero((first.parts == TRAIN) & (index[first.items] > 0)))
    if not learned:
        raise DataRefused(f"{folder}: nothing in its first shard is to train on")
    rows = source.rows_kept
    return Facts(
        name=source.name,
        told=told,
        rows=rows,
        learned=round(learned * rows / len(first.users)),
        shards=len(shards),
        users=len(ids.users),
        items=len(ids.items),
        cases=min(MOST_CASES, round(_baskets(first) * rows / len(first.users))),
        sample=_some(first, index),
        queries=len(ids.queries),
        feature_names=len(content.names) if content else 0,
        features=content.features.shape[1] if content else 0,
        text=content.text.shape[1] if content is not None and content.text is not None else 0,
    )


def _histories(user: Ints, day: Ints) -> Histories:
    new = (np.diff(user, prepend=-1) != 0) | (np.diff(day, prepend=-1) != 0)
    return Histories(
        users=user.astype(np.int32),
        items=np.ones(len(user), dtype=np.int64),
        actions=np.full(len(user), PURCHASE, dtype=np.int8),
        at=day * DAY,
        starts=np.append(np.flatnonzero(new), len(user)),
    )


def _some(shard: Interactions, index: Ints) -> Histories:
    """The training histories of as many users, drawn at random, as make up a sample."""
    users, each = np.unique(shard.users[shard.parts == TRAIN], return_counts=True)
    order = np.random.default_rng(1).permutation(len(users))
    taken = max(LEAST_SAMPLE, int(np.searchsorted(np.cumsum(each[order]), SAMPLE)))
    rows = np.isin(shard.users, users[order[:taken]])
    columns = {name: getattr(shard, name)[rows] for name in Interactions.__slots__}
    return histories(Interactions(**columns), index, part=TRAIN)


def _baskets(shard: Interactions) -> int:
    """How many baskets of the validation part hold a purchase."""
    rows = (shard.parts == VALIDATION) & (shard.actions == PURCHASE)
    users, at = shard.users[rows], shard.at[rows]
    new = (np.diff(users, prepend=-1) != 0) | (np.diff(at, prepend=-1) != 0)
    return int(np.count_nonzero(new))
