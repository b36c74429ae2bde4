"""A user's sessions: narwhals expressions, as the rules."""

from __future__ import annotations

import narwhals as nw

from model_export.preparation.rules import ORDER, Frame

MINUTE = 60_000_000
"""Microseconds."""


def with_sessions(rows: Frame, minutes: int) -> Frame:
    """Number each user's sessions from 0, in the column ``session``, by their first moments.

    Rows with a ``session_id`` are of that session, however their moments interleave with
    another's. Of the rest, more than ``minutes`` of silence end one. Rows that were left out
    are of no session that counts.
    """
    begun = nw.col("at") - nw.col("at").shift(1).over(
        "user_id", "session_id", "reason", order_by=ORDER
    )
    is_new = nw.col("session_id").is_null() & (begun > minutes * MINUTE)
    rows = rows.with_columns(
        nw.when(is_new).then(nw.lit(1)).otherwise(nw.lit(0)).cast(nw.Int64).alias("new"),
    ).with_columns(
        nw.col("new").cum_sum().over("user_id", "session_id", "reason", order_by=ORDER).alias("run")
    )
    first = nw.col(ORDER).min().over("user_id", "reason", "session_id", "run")
    rows = rows.with_columns(first.alias("first"))
    number = nw.col("first").rank("dense").over("user_id", "reason") - 1
    return rows.with_columns(number.cast(nw.Int32).alias("session")).drop("new", "run", "first")
