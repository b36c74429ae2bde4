"""The cleaning rules, one function each: narwhals expressions that run on polars and on Spark.

Two kinds. *Row rules* need nothing but the row; they are applied while rows are read. *User
rules* look at all rows of a user, and go by rows that no earlier rule has left out: an event
that was sent ten times does not make its shopper a bot. All orders are total (moment, then
place in the input), so that every engine counts the same.
"""

from __future__ import annotations

from typing import Any, Final, TypeVar

import narwhals as nw

from model_export.dataset import DAY
from model_export.preparation import reasons
from model_export.preparation.reasons import KEPT, Reason
from model_export.preparation.rows import CANCEL, LATEST, UNREAD, WHOLE_ORDER
from model_export.preparation.settings import Cleaning
from services.shared.model_input import CLICK, PURCHASE, SEARCH, VIEW
from services.shared.profile import AUTOMATED_WITHIN

Frame = TypeVar("Frame", nw.DataFrame[Any], nw.LazyFrame[Any])

ORDER: Final = "order"
"""The column of :func:`ordered`."""
LOOKS: Final = [VIEW, CLICK]
PACED: Final = [VIEW, CLICK, SEARCH]
"""Actions that take a person time; an order's lines, or a cart filled again at once, do not."""

_is_kept = nw.col("reason") == KEPT


def mark(rows: Frame, reason: Reason, applies: nw.Expr) -> Frame:
    """Give the reason to rows that have none yet and to which the rule applies."""
    marked = nw.when(_is_kept & applies).then(nw.lit(reason.code)).otherwise(nw.col("reason"))
    return rows.with_columns(marked.cast(nw.Int8).alias("reason"))


def unread() -> nw.Expr:
    """An action that the model does not read, such as a rating."""
    return nw.col("action") == UNREAD


def incomplete() -> nw.Expr:
    """No user, no time, or nothing that the action is about."""
    return nw.col("user_id").is_null() | nw.col("at").is_null() | nw.col("thing").is_null()


def before_1970() -> nw.Expr:
    """An impossible time: no shop on the web is that old; 0 often stands for "unknown"."""
    return nw.col("at") < 0


def from_the_future() -> nw.Expr:
    """An impossible time: after the broker received the row, or after it was read."""
    return nw.col("at") > nw.col(LATEST)


def price_impossible() -> nw.Expr:
    """A price that is none: 0 or less, not a number, or without an end. No price is no mistake."""
    price = nw.col("price")
    return (price <= 0) | price.is_nan() | ~price.is_finite()


def ordered(rows: Frame) -> Frame:
    """Number each user's rows from 1 by moment, then place: what later rules order by.

    One number is ordered by in half the time that two take.
    """
    one = rows.with_columns(nw.lit(1).cast(nw.Int64).alias(ORDER))
    number = nw.col(ORDER).cum_sum().over("user_id", order_by=("at", "place"))
    return one.with_columns(number.alias(ORDER))


def row_rules(rows: Frame) -> Frame:
    """Apply all row rules; ``rows`` have no column ``reason`` yet."""
    rows = rows.with_columns(nw.lit(KEPT).cast(nw.Int8).alias("reason"))
    rows = mark(rows, reasons.OTHER_ACTION, unread())
    rows = mark(rows, reasons.INCOMPLETE, incomplete())
    rows = mark(rows, reasons.BEFORE_1970, before_1970())
    rows = mark(rows, reasons.FROM_FUTURE, from_the_future())
    return mark(rows, reasons.PRICE_IMPOSSIBLE, price_impossible())


def medians(prices: Frame) -> Frame:
    """The lower median of each product's prices, and of how many: ``thing, median, prices``.

    By rank, not by interpolation: engines differ in how they halve.
    """
    ranked = prices.with_columns(
        nw.col("price").rank("ordinal").over("thing").cast(nw.Int64).alias("rank"),
        nw.len().over("thing").cast(nw.Int64).alias("prices"),
    )
    middle = ranked.filter(nw.col("rank") == (nw.col("prices") + 1) // 2)
    return middle.select("thing", nw.col("price").alias("median"), "prices")


def price_absurd(limits: Cleaning) -> nw.Expr:
    """A price far from its product's own median; the columns of :func:`medians` are joined."""
    price, median = nw.col("price"), nw.col("median")
    far = (price > median * limits.price_factor) | (price * limits.price_factor < median)
    return (nw.col("prices") >= limits.price_rows) & far


def same_event() -> nw.Expr:
    """An event that came before, under the same id; of one order's lines each its own row."""
    key = ("user_id", "event_id", "action", "thing", "reason")
    return ~nw.col("event_id").is_null() & (nw.col("place") > nw.col("place").min().over(*key))


def same_moment() -> nw.Expr:
    """The same user, item, action and moment, in the same order where there is one."""
    key = ("user_id", "action", "thing", "at", "order_id", "reason")
    return nw.col("place") > nw.col("place").min().over(*key)


def bot_by_rate(rows: Frame, limits: Cleaning) -> Frame:
    """Leave out users who, of one kind, did too much within a minute.

    The rule of :func:`services.shared.profile.is_rapid`: so many moments within a minute.
    """
    before = nw.col("at").shift(limits.bot_events_a_minute - 1)
    since = nw.col("at") - before.over("user_id", "action", "reason", order_by=ORDER)
    burst = nw.col("action").is_in(PACED) & _is_kept & (since < AUTOMATED_WITHIN)
    return _of_users(rows, reasons.BOT_BY_RATE, burst)


def bot_by_breadth(rows: Frame, limits: Cleaning) -> Frame:
    """Leave out users who looked at too many different products on one day (UTC)."""
    rows = rows.with_columns(
        (nw.col("at") // DAY).alias("day"), nw.col("action").is_in(LOOKS).alias("looks")
    )
    first = nw.col("place").min().over("user_id", "day", "thing", "looks", "reason")
    is_first = nw.col("looks") & _is_kept & (nw.col("place") == first)
    rows = rows.with_columns(is_first.cast(nw.Int64).alias("first"))
    seen = nw.col("first").sum().over("user_id", "day")
    marked = _of_users(rows, reasons.BOT_BY_BREADTH, seen >= limits.bot_products_a_day)
    return marked.drop("day", "looks", "first")


def _of_users(rows: Frame, reason: Reason, applies: nw.Expr) -> Frame:
    """Give the reason to all rows of users of whom it applies to one."""
    rows = rows.with_columns(nw.when(applies).then(nw.lit(1)).otherwise(nw.lit(0)).alias("applies"))
    marked = mark(rows, reason, nw.col("applies").max().over("user_id") == 1)
    return marked.drop("applies")


def cancelled(rows: Frame) -> Frame:
    """Leave out purchases that were taken back, wholly, and the rows that took them back.

    As :func:`services.shared.profile.bought` does, so that training reads what serving reads:
    a line that was taken back in part stays.
    """
    is_cancel = _is_kept & (nw.col("action") == CANCEL)
    is_bought = _is_kept & (nw.col("action") == PURCHASE)
    quantity = nw.col("quantity").fill_null(1)
    line = ("user_id", "order_id", "thing")
    rows = rows.with_columns(
        nw.when(is_cancel & (nw.col("thing") == WHOLE_ORDER)).then(1).otherwise(0).alias("whole"),
        nw.when(is_cancel).then(quantity).otherwise(0).alias("taken"),
        nw.when(is_bought).then(quantity).otherwise(0).alias("bought"),
    ).with_columns(
        nw.col("whole").max().over("user_id", "order_id").alias("whole"),
        nw.col("taken").sum().over(*line).alias("taken"),
        nw.col("bought").cum_sum().over(*line, order_by=ORDER).alias("bought"),
    )
    lines_back = (nw.col("taken") > 0) & (nw.col("bought") <= nw.col("taken"))
    back = ~nw.col("order_id").is_null() & ((nw.col("whole") == 1) | lines_back)
    rows = mark(rows, reasons.CANCELLED, (nw.col("action") == PURCHASE) & back)
    rows = mark(rows, reasons.CANCELLATION, nw.col("action") == CANCEL)
    return rows.drop("whole", "taken", "bought")
