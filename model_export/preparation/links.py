"""Whose the rows of a visitor are: the user's that the visitor signed in as.

A row belongs to the user whom the visitor was at that moment; what was done before the first
signing in belongs to whom it was then. After a logout a visitor is nobody's, until the next
signing in (shared devices).
"""

from __future__ import annotations

from typing import Any

import narwhals as nw

from model_export.preparation.rows import LINKED, UNLINKED

BY = ("at", "place")


def resolved(rows: nw.DataFrame[Any]) -> nw.DataFrame[Any]:
    """The rows under their users' names; those that link are used up.

    ``rows`` hold all of a visitor's rows, or none.
    """
    is_link = nw.col("action").is_in([LINKED, UNLINKED])
    known = rows.with_columns(
        is_link.cast(nw.Int64).cum_sum().over("user_id", order_by=BY).alias("run"),
        nw.when(nw.col("action") == LINKED).then(nw.col("thing")).alias("to"),
    ).with_columns(
        nw.col("to").max().over("user_id", "run").alias("now"),
        nw.when(nw.col("run") == 1).then(nw.col("to")).max().over("user_id").alias("first"),
    )
    user = nw.when(nw.col("run") == 0).then(nw.col("first")).otherwise(nw.col("now"))
    return (
        known.with_columns(nw.coalesce(user, nw.col("user_id")).alias("user_id"))
        .filter(~is_link)
        .drop("run", "to", "now", "first")
    )
