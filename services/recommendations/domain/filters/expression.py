"""Expressions: compiled once, and asked for the mask of a catalogue at each call."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from services.recommendations.domain.catalog import Catalog
from services.recommendations.domain.filters.fields import MICROSECONDS_A_MINUTE, Scope
from services.recommendations.domain.filters.nodes import Node, OfShopper
from services.recommendations.domain.filters.planning import Kept, planned, slow_parts
from services.recommendations.domain.filters.reading import read
from services.recommendations.domain.shopper import STRANGER, Shopper

EXPRESSIONS: Final = 512
"""How many compiled expressions are kept."""


class Expression:
    """One expression, ready to be asked; holds nothing of any catalogue."""

    def __init__(self, text: str, root: Node) -> None:
        self.text = text
        self.asks_shopper = any(isinstance(node, OfShopper) for node in root.walk())
        """Whether the shopper makes a difference; if not, anyone may be named."""
        self._root = root
        self._slow = tuple(slow_parts(root))

    def mask(self, catalog: Catalog, shopper: Shopper, now: int) -> NDArray[np.bool_]:
        """[rows] which listed products it is true of; an error is not true.

        ``now`` is microseconds since 1970; whole minutes count. The array is the catalogue's
        own: not to be changed, and valid until the catalogue changes.
        """
        scope = Scope(catalog, None, shopper, now // MICROSECONDS_A_MINUTE)
        with np.errstate(all="ignore"):
            value = self._root(scope).value
        listed = scope.of(catalog.products.listed)
        if isinstance(value, bool):
            return listed if value else np.zeros_like(listed)
        mask: NDArray[np.bool_] = value if isinstance(self._root, Kept) else value & listed
        return mask

    def warm(self, catalog: Catalog, now: int) -> None:
        """Compute what the catalogue keeps of it, so that a call pays for what changes only."""
        scope = Scope(catalog, None, STRANGER, now // MICROSECONDS_A_MINUTE)
        with np.errstate(all="ignore"):
            for node in self._root.walk():
                if isinstance(node, Kept):
                    node(scope)

    def is_ready(self, catalog: Catalog) -> bool:
        """Whether :meth:`prepare` has nothing to do."""
        return all(part.is_ready(catalog) for part in self._slow)

    def prepare(self, catalog: Catalog) -> Iterator[None]:
        """Do in slices, with a pause after each, what of a first :meth:`mask` takes long.

        That is reading texts of a million single products: seconds where a pattern is matched
        with titles. A server that goes through this with other work in between, at start or in
        the call that asks first, never stands still for long.
        """
        scope = Scope(catalog, None, STRANGER, 0)
        for part in self._slow:
            yield from part.prepare(scope)


def compile_expression(text: str) -> Expression:
    """Raises BadExpression, with the place, for what is no CEL or outside what we compute."""
    return Expression(text, planned(read(text)))


class Expressions:
    """The expressions compiled last: a caller sends the same few with each request."""

    def __init__(self, limit: int = EXPRESSIONS) -> None:
        self._limit = limit
        self._compiled: dict[str, Expression] = {}

    def of(self, text: str) -> Expression:
        """The compiled expression. Raises BadExpression."""
        found = self._compiled.pop(text, None) or compile_expression(text)
        self._compiled[text] = found
        if len(self._compiled) > self._limit:
            del self._compiled[next(iter(self._compiled))]
        return found
