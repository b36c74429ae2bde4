"""Why a product is shown: the one event, or the one fact, that it follows from most."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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


class Reason(NamedTuple):
    """One event or fact. ``at`` is microseconds since 1970, 0 for a fact."""

    kind: Kind
    sentence: str
    product_id: str = ""
    query: str = ""
    at: int = 0


TRENDING: Final = Reason(Kind.TRENDING, "Many look at it or buy it just now")
POPULAR: Final = Reason(Kind.POPULAR, "Bought by many")
LISTED: Final = Reason(Kind.POPULAR, "From the shop's catalogue")
"""For what fills a list in a shop of which too little is known."""

_KINDS: Final[Mapping[int, Kind]] = {
    VIEW: Kind.VIEWED,
    CLICK: Kind.CLICKED,
    CART: Kind.IN_CART,
    PURCHASE: Kind.BOUGHT,
}
_SENTENCES: Final[Mapping[Kind, str]] = {
    Kind.BOUGHT: "Because you bought {}",
    Kind.IN_CART: "Because you put {} in your cart",
    Kind.VIEWED: "Because you looked at {}",
    Kind.CLICKED: "Because you chose {}",
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


def of_event(event: Interaction, product_id: str, title_of: Callable[[str], str]) -> Reason:
    """``product_id`` follows from a search, or what was done with another product or itself."""
    if event.action == SEARCH:
        return _searched(event.query, event.at)
    kind = _KINDS[event.action]
    what = "it" if event.product_id == product_id else title_of(event.product_id)
    return Reason(kind, _SENTENCES[kind].format(what), event.product_id, at=event.at)


def of_earlier_purchase(product_id: str, at: int) -> Reason:
    """The shopper bought this very product before."""
    return Reason(Kind.BOUGHT_BEFORE, "You bought it before", product_id, at=at)


def of_search(search: Search) -> Reason:
    """The product's words are those of a search."""
    return _searched(search.query, search.at)


def of_likeness(product_id: str, title: str) -> Reason:
    """It is like the product that the caller asked about."""
    return Reason(Kind.SIMILAR, f"Like {title}", product_id)


def _searched(query: str, at: int) -> Reason:
    return Reason(Kind.SEARCHED, f"Because you searched for “{query}”", query=query, at=at)
