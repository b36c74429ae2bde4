"""Where a prepared data set came from and what became of it: the content of ``prepared.json``."""

from __future__ import annotations

import msgspec


class Source(msgspec.Struct, frozen=True):
    """What a data set was made from and what became of it. Times are microseconds since 1970."""

    name: str
    sha256: str
    """Of the interactions and, where products were listed, of that list."""
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
    actions: dict[str, int] = {}
    """What was done → rows that were kept."""
    users: int = 0
    grouped: int = 0
    """Users whose demographic group is known."""
    grouped_elsewhere: int = 0
    """Users that have a group, and of whom no row is kept."""
    items: int = 0
    queries: int = 0
    sessions: int = 0
    products_lost: dict[str, int] = {}
    """Reason → what was said of products and is not here: records, rows, prices, vectors."""
    untouched: int = 0
    """Items that are listed, and that no kept row is about."""
    bots: int = 0
    """Users left out as programs."""
    features: int = 0
    """Names of features, over all products."""
    encoder: str = ""
    """What made vectors of texts; "" where there are none."""
    item_vectors: int = 0
    """Products that have one."""
    query_vectors: int = 0
    limits: dict[str, float] = {}
    """What the cleaning went by."""
    notes: tuple[str, ...] = ()
    """What else a reader should know of how it was prepared."""
