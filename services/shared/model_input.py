"""What the model sees of a shopper: written once, used to train and to serve.

The model reads the newest ``max_length`` interactions with products that it knows. Each is
three numbers: the product's index in the vocabulary, what was done with it, and how long
after the one before. Sequences are padded on the left, so the newest interaction is always
the last and a graph of one shape serves histories of any length.

A model that reads searches sees a search as an interaction with a product of its own: its
index is behind the vocabulary's, and whoever encodes brings its vector.

``model_export`` imports this module, so training and serving cannot drift apart.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import repeat
from typing import Final, NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from services.shared.profile import Profile, bought

N = TypeVar("N", bound=np.integer)

PAD: Final = 0
VIEW: Final = 1
CLICK: Final = 2
CART: Final = 3
PURCHASE: Final = 4
SEARCH: Final = 5
IMPRESSION: Final = 6
"""Shown; where it was then turned to, that follows as an interaction of its own."""

ACTIONS: Final[Mapping[str, int]] = {
    "pad": PAD,
    "view": VIEW,
    "click": CLICK,
    "cart": CART,
    "purchase": PURCHASE,
    "search": SEARCH,
    "impression": IMPRESSION,
}
"""What can be done; 0 marks padding.

A search stands without a product: its words have a vector of their own. A bundle repeats
this table.
"""

TARGETS: Final = (VIEW, CLICK, CART, PURCHASE)
"""What a model can be asked to foretell, in the order of its weights."""

TARGET_NAMES: Final = tuple(name for each in TARGETS for name, a in ACTIONS.items() if a == each)

READS: Final = frozenset(TARGET_NAMES)
"""What a model reads whose bundle does not say otherwise."""

GAP_BUCKETS: Final = 32
"""How many buckets there are for the time between two interactions, see :func:`gap_buckets`."""

MICROSECONDS: Final = 1_000_000


class Interaction(NamedTuple):
    """One thing done with one product, or one search; ``at`` is microseconds since 1970."""

    at: int
    product_id: str
    """Empty for a search."""
    action: int
    query: str = ""
    """The words of a search."""


class Known(NamedTuple):
    """The interactions with products that the model knows, oldest first; h of them."""

    items: NDArray[np.int32]
    """[h] indices in the vocabulary; from ``len(vocabulary) + 1`` on the searches, in order."""
    actions: NDArray[np.int64]
    """[h] values of :data:`ACTIONS`."""
    at: NDArray[np.int64]
    """[h] microseconds since 1970."""

    def newest(self, count: int) -> Known:
        """The newest ``count`` of them (at least 1), or all where there are fewer."""
        return Known(self.items[-count:], self.actions[-count:], self.at[-count:])


class ModelInput(NamedTuple):
    """One shopper as the model sees them; L is the model's length, padding is on the left."""

    items: NDArray[np.int32]
    """[L] indices in the vocabulary, 0 where padded."""
    actions: NDArray[np.int64]
    """[L] values of :data:`ACTIONS`, 0 where padded."""
    gaps: NDArray[np.int64]
    """[L] buckets of the time since the interaction before, 0 where padded."""

    @property
    def is_empty(self) -> bool:
        """Whether nothing in it is known to the model."""
        return not self.items[-1]


class Vocabulary:
    """The products that a model knows. Product ``i`` is row ``i`` of its vectors, from 1 on.

    Index 0 is padding, and what :meth:`index` answers for a product the model does not know.
    """

    def __init__(self, product_ids: Sequence[str]) -> None:
        """Take ``product_ids`` in the order of their indices, the first at 1.

        Raises ValueError where one stands twice.
        """
        self.product_ids: Final = tuple(product_ids)
        self._index = {product: i for i, product in enumerate(self.product_ids, start=1)}
        if len(self._index) != len(self.product_ids):
            raise ValueError("a product stands twice in the vocabulary")

    def __len__(self) -> int:
        """How many products it has, padding not counted."""
        return len(self.product_ids)

    def __iter__(self) -> Iterator[str]:
        return iter(self.product_ids)

    def __contains__(self, product_id: object) -> bool:
        return product_id in self._index

    def index(self, product_id: str) -> int:
        """The product's index, 0 if the model does not know it."""
        return self._index.get(product_id, 0)

    def indices(self, product_ids: Iterable[str]) -> list[int]:
        """:meth:`index` of each."""
        return list(map(self._index.get, product_ids, repeat(0)))

    def product_id(self, index: int) -> str:
        """The product at ``index`` (1 … len). Raises IndexError for any other."""
        if index < 1:
            raise IndexError("index 0 is padding, not a product")
        return self.product_ids[index - 1]


class Products(Protocol):
    """The products that a model knows, by numbers from 1 on; 0 is padding."""

    def __len__(self) -> int:
        """The greatest number."""
        ...

    def __contains__(self, product_id: object) -> bool: ...

    def indices(self, product_ids: Iterable[str]) -> list[int]:
        """The number of each, 0 for what the model does not know."""
        ...


def interactions(profile: Profile, reads: Collection[str] = READS) -> list[Interaction]:
    """What the shopper did of what a model ``reads``, oldest first, by (time, event, line).

    Views, clicks, products put into the cart, and purchases that were not cancelled since;
    searches and products shown for a model that reads them. What was taken out of a cart says
    little by itself and is left out.

    What was shown stays when it is turned to later: training reads a history once and asks at
    each of its moments, so what stands there may not hang on what came after.
    """
    found = [
        *((v.at, v.event, v.line, v.product_id, VIEW, "") for v in profile.views),
        *((c.at, c.event, c.line, c.product_id, CLICK, "") for c in profile.clicks),
        *((c.at, c.event, c.line, c.product_id, CART, "") for c in profile.carts if c.quantity > 0),
        *((p.at, p.event, p.line, p.product_id, PURCHASE, "") for p in bought(profile)),
    ]
    if "search" in reads:
        found += [(s.at, s.event, s.line, "", SEARCH, s.query) for s in profile.searches]
    if "impression" in reads:
        found += _shown(profile)
    wanted = {ACTIONS[name] for name in reads}
    found.sort()
    return [
        Interaction(at, product_id, action, query)
        for at, _, _, product_id, action, query in found
        if action in wanted
    ]


def _shown(profile: Profile) -> Iterable[tuple[int, int, int, str, int, str]]:
    """Products that were shown, each once for each moment, as preparation counts them."""
    once = {
        (shown.at, product_id): (shown.at, shown.event, shown.line, product_id, IMPRESSION, "")
        for shown in profile.impressions
        for product_id in shown.product_ids
    }
    return once.values()


def known(found: Sequence[Interaction], vocabulary: Products) -> Known:
    """Those of ``found`` (oldest first) whose products the model knows, and the searches."""
    return known_places(found, vocabulary)[0]


def known_places(
    found: Sequence[Interaction], vocabulary: Products
) -> tuple[Known, NDArray[np.intp]]:
    """:func:`known`, and where in ``found`` each of them is: [h]."""
    moments, product_ids, did, _ = zip(*found, strict=True) if found else ((), (), (), ())
    items = np.array(vocabulary.indices(product_ids), dtype=np.int32)
    actions = np.array(did, dtype=np.int64)
    at = np.array(moments, dtype=np.int64)
    searched = np.flatnonzero(actions == SEARCH)
    items[searched] = np.arange(1, len(searched) + 1) + len(vocabulary)
    read = np.flatnonzero(items)
    if len(read) == len(items):
        return Known(items, actions, at), read
    return Known(items[read], actions[read], at[read]), read


def encode(found: Sequence[Interaction], vocabulary: Vocabulary, *, max_length: int) -> ModelInput:
    """The newest ``max_length`` interactions with known products; ``found`` is oldest first."""
    return encode_known(*known(found, vocabulary).newest(max_length), max_length=max_length)


def encode_known(
    items: NDArray[np.integer],
    actions: NDArray[np.integer],
    at: NDArray[np.int64],
    *,
    max_length: int,
) -> ModelInput:
    """Encode interactions [n ≤ max_length] of known products, oldest first.

    ``at`` is in microseconds. The first has no predecessor and so the gap 0, even where the
    shopper did more before: what lies beyond ``max_length`` must not be seen.
    """
    if len(items) > max_length:
        raise ValueError(f"{len(items)} interactions do not fit into {max_length}")
    return ModelInput(
        _padded(items, np.zeros(max_length, dtype=np.int32)),
        _padded(actions, np.zeros(max_length, dtype=np.int64)),
        _padded(gap_buckets(at), np.zeros(max_length, dtype=np.int64)),
    )


def _padded(values: NDArray[np.integer], column: NDArray[N]) -> NDArray[N]:
    """``values`` at the end of ``column``; np.pad takes longer than all the rest."""
    column[len(column) - len(values) :] = values
    return column


def gap_buckets(at: NDArray[np.int64]) -> NDArray[np.int64]:
    """The time since the one before, in buckets: 0 for below a second, then doubling.

    Bucket b ≥ 1 holds 2^(b-1) to 2^b seconds (excluded); the last, 31, holds all above
    34 years. [n] microseconds in ascending order → [n], the first always 0.
    """
    seconds = np.zeros(len(at))
    seconds[1:] = (at[1:] - at[:-1]) // MICROSECONDS
    _, exponent = np.frexp(seconds)
    return np.clip(exponent, 0, GAP_BUCKETS - 1).astype(np.int64)
