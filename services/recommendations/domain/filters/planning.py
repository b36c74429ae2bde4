"""What of an expression is computed how often.

- A part that asks one column of few distinct values is computed once for each value, and looked
  up by row (:class:`Gathered`).
- A truth that asks products only is computed once, and brought up to date for the rows that
  change (:class:`Kept`). What asks for the time as well is computed anew each minute.
- What is left asks the shopper, too, and is computed at each call: from numbers and looked-up
  truths only. What would read texts row by row there is refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from services.recommendations.domain.catalog import Catalog
from services.recommendations.domain.filters.errors import BadExpression
from services.recommendations.domain.filters.fields import CodedField, Scope
from services.recommendations.domain.filters.functions import spread
from services.recommendations.domain.filters.nodes import (
    Apply,
    Choose,
    Logic,
    Made,
    Node,
    Not,
    OfColumn,
    OfRow,
    OfShopper,
)
from services.recommendations.domain.filters.outcomes import Outcome
from services.recommendations.domain.kept_masks import States

ERROR: Final = 2
"""The state of a row for which a truth comes to an error; else 0 or 1."""


@dataclass(frozen=True, kw_only=True)
class Gathered(Made):
    """A part computed on a column's distinct values, looked up for the rows."""

    source: CodedField = field(repr=False)

    def _outcome(self, scope: Scope) -> Outcome:
        (part,) = self.of
        distinct = self.source.read(scope)
        found = part(replace(scope, distinct=distinct))
        if distinct.codes is None:
            return found
        value, error = (
            each.take(distinct.codes) if isinstance(each, np.ndarray) else each for each in found
        )
        return Outcome(value, error)


@dataclass(frozen=True, kw_only=True)
class Kept(Made):
    """A truth about products that the catalogue keeps."""

    timed: bool
    whole: bool
    """Whether it is the whole expression: then an error, and a row that lists nothing, is False."""
    key: str = field(repr=False)

    def _outcome(self, scope: Scope) -> Outcome:
        if scope.rows is not None:
            return self.of[0](scope)
        catalog = scope.catalog
        states = catalog.kept.states(
            self.key,
            partial(self._states, scope),
            changes=catalog.changes,
            rows=catalog.rows,
            minute=scope.minute if self.timed else 0,
        )
        if self.whole or states.max(initial=0) < ERROR:
            return Outcome(states.view(np.bool_))
        return Outcome(states == 1, states == ERROR)

    def is_ready(self, catalog: Catalog) -> bool:
        """Whether asking for it takes no longer than a slice."""
        return catalog.kept.is_ready(self.key, changes=catalog.changes, rows=catalog.rows)

    def prepare(self, scope: Scope) -> Iterator[None]:
        """Compute it before it is asked for, a slice at a time."""
        catalog = scope.catalog
        compute = partial(self._states, scope)
        return catalog.kept.prepare(self.key, compute, changes=catalog.changes, rows=catalog.rows)

    def _states(self, scope: Scope, rows: NDArray[np.intp] | None) -> States:
        scope = replace(scope, rows=rows)
        listed = scope.of(scope.catalog.products.listed)
        found = self.of[0](scope)
        states: States = spread(found.value, len(listed)).astype(np.uint8)
        if self.whole:
            states &= listed
            return states
        states[spread(found.error, len(listed))] = ERROR
        return states


def slow_parts(tree: Node) -> Iterator[Kept]:
    """What is kept and reads texts row by row: a million of them take seconds."""
    for node in tree.walk():
        if isinstance(node, Kept) and not node.timed and any(map(_is_text_of_rows, node.walk())):
            yield node


def _is_text_of_rows(node: Node) -> bool:
    return isinstance(node, OfRow | Gathered) and node.kind not in ("bool", "int", "double")


def planned(root: Node) -> Node:
    """The same expression, ready to be computed. Raises BadExpression, see the module."""
    if _reads_product(root) and not _reads_shopper(root):
        parts = _parts_kept(root, timed_too=False) if _is_timed(root) else root
        return _gathered(_kept(parts, whole=True))
    tree = _gathered(_parts_kept(root, timed_too=True))
    _check_cost(tree)
    return tree


def _reads_product(tree: Node) -> bool:
    return any(isinstance(node, OfRow | OfColumn) for node in tree.walk())


def _reads_shopper(tree: Node) -> bool:
    return any(isinstance(node, OfShopper) for node in tree.walk())


def _is_timed(tree: Node) -> bool:
    return any(isinstance(node, OfRow) and node.field.timed for node in tree.walk())


def _gathered(tree: Node) -> Node:
    """With each largest part of a single column in a :class:`Gathered`, within what is kept."""
    columns = {node.field.source: node.field for node in tree.walk() if isinstance(node, OfColumn)}
    by_row = any(isinstance(node, OfRow | Kept) for node in tree.walk())
    if len(columns) == 1 and not by_row:
        (source,) = columns.values()
        return Gathered(kind=tree.kind, place=tree.place, of=(tree,), source=source)
    if columns and isinstance(tree, Made):
        return tree.made_of(*map(_gathered, tree.of))
    return tree


def _parts_kept(tree: Node, *, timed_too: bool) -> Node:
    """With each largest truth about products alone in a :class:`Kept`."""
    if not _reads_product(tree):
        return tree
    if not _reads_shopper(tree):
        if not _is_timed(tree):
            return tree if isinstance(tree, OfRow) else _kept(tree)
        if timed_too:
            return _kept(_parts_kept(tree, timed_too=False))
    if isinstance(tree, Logic):
        tree = _grouped(tree, timed_too=timed_too)
    if isinstance(tree, Logic | Not | Choose):
        return tree.made_of(*(_parts_kept(part, timed_too=timed_too) for part in tree.of))
    return tree


def _kept(tree: Node, *, whole: bool = False) -> Node:
    key, timed = f"{'whole' if whole else 'part'} {tree}", _is_timed(tree)
    return Kept(kind="bool", place=tree.place, of=(tree,), timed=timed, whole=whole, key=key)


def _grouped(tree: Logic, *, timed_too: bool) -> Logic:
    """What asks no product first, as it may decide alone; then what is kept, as one truth."""
    alone: list[Node] = []
    kept: dict[bool, list[Node]] = {False: [], True: []}
    rest: list[Node] = []
    for part in tree.of:
        if not _reads_product(part):
            alone.append(part)
        elif _reads_shopper(part) or (_is_timed(part) and not timed_too):
            rest.append(part)
        else:
            kept[_is_timed(part)].append(part)
    joined = (tree.made_of(*group) if group[1:] else group[0] for group in kept.values() if group)
    return replace(tree, of=(*alone, *joined, *rest))


def _check_cost(tree: Node) -> None:
    """What is computed at each call reads no texts of single products, and counts none."""
    if isinstance(tree, Kept):
        return
    counts = isinstance(tree, Apply) and tree.kind == "int" and _reads_product(tree)
    if counts or _is_text_of_rows(tree):
        raise BadExpression(
            "this would be computed for each product at each call, as it is joined with the "
            "shopper's fields; beside those only numbers, truths and single columns of few "
            "distinct values may stand",
            tree.place,
        )
    if not isinstance(tree, Gathered):
        for part in tree.parts:
            _check_cost(part)
