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


LIKENESS: Final = 0.1
"""What a cosine of 1 counts beside what an event adds by itself."""


class History(NamedTuple):
    """The events that the model has read, oldest first; h of them."""

    interactions: Sequence[Interaction]
    directions: NDArray[np.float32]
    """[h, d] their products' vectors at length 1."""
    company: Callable[[NDArray[np.intp]], NDArray[np.float32]] | None = None
    """Rows [k] → [k, h] what each event adds to a product by what was bought with it, where the
    scores have such a part."""

    def strongest(
        self, rows: NDArray[np.intp], directions: NDArray[np.float32], count: int
    ) -> NDArray[np.intp]:
        """The events that count most in each of k products at ``rows``, of ``directions`` [k, d].

        [k, count], strongest first, or fewer where the history is shorter. How much an event
        counts is what it adds by itself, and the cosine of the item vectors for what it does
        within the model; of equal ones the newest counts. That this is true is tested: without the
        first of them the product's score falls by more than without another.
        """
        weight = LIKENESS * (directions @ self.directions.T)
        if self.company is not None:
            weight += self.company(rows)
        newest_first = np.argsort(-weight[:, ::-1], axis=1, kind="stable")[:, :count]
        return np.asarray(weight.shape[1] - 1 - newest_first)


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
