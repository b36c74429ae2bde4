"""Why a product is shown: the one event, or the one fact, that it follows from most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum, auto
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.shared.model_input import CART, CLICK, PURCHASE, SEARCH, VIEW, Interaction
from services.shared.profile import Search


class Kind(Enum):
    """What a reason can be, by the names of ``Reason.Kind`` in the contract."""

    BOUGHT_BEFORE = auto()
    BOUGHT = auto()
    IN_CART = auto()
    VIEWED = auto()
    CLICKED = auto()
    SEARCHED = auto()
    SIMILAR = auto()
    TRENDING = auto()
    POPULAR = auto()
    PINNED = auto()
    BOUGHT_TOGETHER = auto()
    BUY_AGAIN = auto()
    LISTED = auto()


class Reason(NamedTuple):
    """One event or fact; :mod:`services.recommendations.domain.sentences` has the words.

    ``at`` is microseconds since 1970, 0 for a fact.
    """

    kind: Kind
    product_id: str = ""
    query: str = ""
    at: int = 0


TRENDING: Final = Reason(Kind.TRENDING)
POPULAR: Final = Reason(Kind.POPULAR)
LISTED: Final = Reason(Kind.LISTED)
"""For what fills a list in a shop of which too little is known."""
PINNED: Final = Reason(Kind.PINNED)

_KINDS: Final[Mapping[int, Kind]] = {
    VIEW: Kind.VIEWED,
    CLICK: Kind.CLICKED,
    CART: Kind.IN_CART,
    PURCHASE: Kind.BOUGHT,
}


class History(NamedTuple):
    """The events that the model has read, oldest first; h of them."""

    interactions: Sequence[Interaction]
    directions: NDArray[np.float32]
    """[h, d] their products' vectors at length 1."""

    def nearest(self, directions: NDArray[np.float32]) -> NDArray[np.intp]:
        """For each of [k, d] products, the event whose product is most like it: [k].

        Likeness is the cosine of the item vectors; of equal ones the newest counts.
        """
        likeness = directions @ self.directions.T
        return np.asarray(likeness.shape[1] - 1 - likeness[:, ::-1].argmax(axis=1))


NOTHING_READ: Final = History((), np.zeros((0, 0), dtype=np.float32))
"""The history of a shopper of whom the model has read nothing."""


def last_bought(history: Sequence[Interaction]) -> dict[str, int]:
    """When each product was bought last, in microseconds; ``history`` is oldest first."""
    return {each.product_id: each.at for each in history if each.action == PURCHASE}


def of_event(event: Interaction) -> Reason:
    """It follows from a search, or from what was done with a product."""
    if event.action == SEARCH:
        return Reason(Kind.SEARCHED, query=event.query, at=event.at)
    return Reason(_KINDS[event.action], event.product_id, at=event.at)


def of_earlier_purchase(product_id: str, at: int) -> Reason:
    """The shopper bought this very product before."""
    return Reason(Kind.BOUGHT_BEFORE, product_id, at=at)


def of_time(product_id: str, at: int) -> Reason:
    """The shopper bought this very product then, and it is about the time to buy it again."""
    return Reason(Kind.BUY_AGAIN, product_id, at=at)


def of_search(search: Search) -> Reason:
    """The product's words are those of a search."""
    return Reason(Kind.SEARCHED, query=search.query, at=search.at)


def of_likeness(product_id: str) -> Reason:
    """It is like the product that the caller asked about."""
    return Reason(Kind.SIMILAR, product_id)


def of_company(product_id: str) -> Reason:
    """Shoppers buy it together with the product."""
    return Reason(Kind.BOUGHT_TOGETHER, product_id)
