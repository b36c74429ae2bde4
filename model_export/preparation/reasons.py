"""Why a row of the input is not in the prepared data: a code, a name and a sentence for each.

Codes stand in the column ``reason`` while rows are cleaned, names in ``prepared.json``, both
names and sentences in the report. A row has one reason: the first that applies, in the order
of this list. What is said of products is lost for reasons of its own: a :class:`Loss`.
"""

from __future__ import annotations

from typing import Final, NamedTuple

KEPT: Final = 0
"""The code of rows that stay."""


class Reason(NamedTuple):
    """Why a row was left out."""

    code: int
    name: str
    sentence: str


OTHER_ACTION: Final = Reason(1, "other_action", "says nothing that the model reads")
ERASED: Final = Reason(2, "person_erased", "of a person who asked to be forgotten")
REFUSED: Final = Reason(3, "refused", "breaks a limit of the events' contract")
RETURNED: Final = Reason(4, "returned", "a quantity of 0 or less: a return or a deposit")
LINK: Final = Reason(5, "sign_in_or_out", "says whose a visitor's rows are, and nothing more")
INCOMPLETE: Final = Reason(6, "incomplete", "lacks user, time, or what its action is about")
BEFORE_1970: Final = Reason(7, "before_1970", "dated before 1970")
FROM_FUTURE: Final = Reason(8, "from_the_future", "dated after it was received or read")
PRICE_IMPOSSIBLE: Final = Reason(
    9, "price_impossible", "a price of 0 or less, or that is no number"
)
PRICE_ABSURD: Final = Reason(10, "price_absurd", "a price far from the product's own median")
SAME_EVENT: Final = Reason(11, "same_event", "an event that was sent again")
SAME_MOMENT: Final = Reason(12, "same_moment", "the same user, item, action and moment again")
BOT_BY_RATE: Final = Reason(13, "bot_by_rate", "of a user who looks faster than a person can")
BOT_BY_BREADTH: Final = Reason(14, "bot_by_breadth", "of a user who looks at too many products")
CANCELLATION: Final = Reason(15, "cancellation", "takes an order back; no interaction itself")
CANCELLED: Final = Reason(16, "cancelled", "a purchase that was taken back")

REASONS: Final = (
    OTHER_ACTION,
    ERASED,
    REFUSED,
    RETURNED,
    LINK,
    INCOMPLETE,
    BEFORE_1970,
    FROM_FUTURE,
    PRICE_IMPOSSIBLE,
    PRICE_ABSURD,
    SAME_EVENT,
    SAME_MOMENT,
    BOT_BY_RATE,
    BOT_BY_BREADTH,
    CANCELLATION,
    CANCELLED,
)
BY_CODE: Final = {reason.code: reason for reason in REASONS}
BY_NAME: Final = {reason.name: reason for reason in REASONS}


class Loss(NamedTuple):
    """Why something that was said of a product is not in the prepared data."""

    name: str
    sentence: str


KEY_UNREADABLE: Final = Loss(
    "key_unreadable", "a record of the catalogue or of offers whose key names no product of a shop"
)
PRODUCT_REFUSED: Final = Loss(
    "product_refused", "a product's record that breaks a limit; what it replaces stays"
)
OFFER_REFUSED: Final = Loss("offer_refused", "an offer that breaks a limit; what it replaces stays")
OFFER_ALONE: Final = Loss("offer_alone", "a price of a product that the catalogue does not hold")
WITHOUT_ID: Final = Loss("without_id", "a row of the list of products without an item_id")
LISTED_TWICE: Final = Loss(
    "listed_twice", "a row of the list of products whose item_id comes again; the last counts"
)
LISTED_PRICE: Final = Loss(
    "listed_price_impossible",
    "a price in the list of products of 0 or less, or that is no number; the product stays",
)
VECTOR_MISSING: Final = Loss(
    "vector_missing", "an item without words, or without a vector in the list of products"
)

LOSSES: Final = (
    KEY_UNREADABLE,
    PRODUCT_REFUSED,
    OFFER_REFUSED,
    OFFER_ALONE,
    WITHOUT_ID,
    LISTED_TWICE,
    LISTED_PRICE,
    VECTOR_MISSING,
)
