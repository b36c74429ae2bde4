"""An expression as a small tree of operations on columns."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
import re2
from numpy.typing import NDArray

from services.recommendations.domain.columns import objects
from services.recommendations.domain.filters.errors import Place
from services.recommendations.domain.filters.fields import CodedField, RowField, Scope, ShopperField
from services.recommendations.domain.filters.functions import FUNCTIONS, each_of, spread
from services.recommendations.domain.filters.outcomes import (
    Outcome,
    both,
    either,
    failed,
    folded,
    negated,
    one_of,
    without,
)

AND: Final = "_&&_"
OR: Final = "_||_"
"""CEL's own names of the two."""

PATTERN_BYTES: Final = 2**20
"""Of memory that a pattern may take."""


@dataclass(frozen=True, kw_only=True)
class Node(ABC):
    """An operation. What it is printed as names it: two that are printed alike do the same."""

    kind: str
    """CEL's type of what it comes to."""
    place: Place = field(repr=False)

    @property
    def parts(self) -> tuple[Node, ...]:
        """The operations that it is made of."""
        return ()

    def __call__(self, scope: Scope) -> Outcome:
        """What it comes to there."""
        return self._outcome(scope)

    @abstractmethod
    def _outcome(self, scope: Scope) -> Outcome: ...

    def walk(self) -> Iterator[Node]:
        """Itself and all that it is made of."""
        yield self
        for part in self.parts:
            yield from part.walk()


@dataclass(frozen=True, kw_only=True)
class Constant(Node):
    """A literal."""

    value: Any

    def _outcome(self, scope: Scope) -> Outcome:  # noqa: ARG002  # it is the same anywhere
        return Outcome(self.value)


@dataclass(frozen=True, kw_only=True)
class Variable(Node):
    """What ``exists`` or ``all`` goes through."""

    name: str

    def _outcome(self, scope: Scope) -> Outcome:
        return scope.bound[self.name]


@dataclass(frozen=True, kw_only=True)
class OfShopper(Node):
    """A field of the shopper."""

    name: str
    field: ShopperField = field(repr=False)

    def _outcome(self, scope: Scope) -> Outcome:
        return Outcome(self.field.read(scope.shopper))


@dataclass(frozen=True, kw_only=True)
class OfRow(Node):
    """A field of products that is read row by row."""

    name: str
    field: RowField = field(repr=False)

    def _outcome(self, scope: Scope) -> Outcome:
        return self.field.read(scope)


@dataclass(frozen=True, kw_only=True)
class OfColumn(Node):
    """A field of products that has few distinct values, asked of those."""

    name: str
    field: CodedField = field(repr=False)

    def _outcome(self, scope: Scope) -> Outcome:
        values, error, _ = scope.distinct
        made = self.field.made
        return Outcome(values if made is None else objects([made(each) for each in values]), error)


@dataclass(frozen=True, kw_only=True)
class Has(OfColumn):
    """Whether there is a value."""

    def _outcome(self, scope: Scope) -> Outcome:
        return negated(Outcome(super()._outcome(scope).error))


@dataclass(frozen=True, kw_only=True)
class Made(Node):
    """What is made of parts."""

    of: tuple[Node, ...]

    @property
    def parts(self) -> tuple[Node, ...]:
        """The operations that it is made of."""
        return self.of

    def made_of(self, *parts: Node) -> Made:
        """The same of other parts."""
        return replace(self, of=parts)


@dataclass(frozen=True, kw_only=True)
class ListOf(Made):
    """A list of single values, none of which may fail."""

    def _outcome(self, scope: Scope) -> Outcome:
        return Outcome(tuple(part(scope).value for part in self.of))


@dataclass(frozen=True, kw_only=True)
class Apply(Made):
    """A function, which comes to an error where an operand does."""

    overload: str

    def _outcome(self, scope: Scope) -> Outcome:
        operands = [part(scope) for part in self.of]
        error = either(*(each.error for each in operands)) if operands[1:] else operands[0].error
        if error is True:
            return failed(self.kind)
        found = FUNCTIONS[self.overload].compute(*(each.value for each in operands))
        error = either(error, found.error)
        return Outcome(without(found.value, error) if self.kind == "bool" else found.value, error)


@dataclass(frozen=True, kw_only=True)
class Matches(Made):
    """Whether a pattern of RE2's occurs in a text, in time linear in its length."""

    pattern: str
    regexp: Any = field(repr=False)

    def _outcome(self, scope: Scope) -> Outcome:
        (text,) = (part(scope) for part in self.of)
        search = self.regexp.search
        found = each_of(np.bool_, lambda each: search(each.encode()) is not None, text.value)
        return Outcome(without(found, text.error), text.error)


@dataclass(frozen=True, kw_only=True)
class Not(Made):
    """The contrary of a truth."""

    def _outcome(self, scope: Scope) -> Outcome:
        (truth,) = self.of
        return negated(truth(scope))


@dataclass(frozen=True, kw_only=True)
class Logic(Made):
    """Truths joined by ``&&`` or ``||``, two or more, in any order."""

    word: str

    def _outcome(self, scope: Scope) -> Outcome:
        join = both if self.word == AND else one_of
        return folded(join, (part(scope) for part in self.of), decided=self.word == OR)


@dataclass(frozen=True, kw_only=True)
class Choose(Made):
    """``condition ? yes : no``; an error of the branch not taken is none."""

    def _outcome(self, scope: Scope) -> Outcome:
        condition, yes, no = self.of
        asked = condition(scope)
        if asked.error is True:
            return failed(self.kind)
        if isinstance(asked.value, bool):
            value, wrong = (yes if asked.value else no)(scope)
        else:
            value, wrong = _chosen(asked.value, yes(scope), no(scope))
        error = either(asked.error, wrong)
        return Outcome(without(value, error) if self.kind == "bool" else value, error)


def _chosen(by: NDArray[np.bool_], yes: Outcome, no: Outcome) -> Outcome:
    value = np.where(by, spread(yes.value, len(by)), spread(no.value, len(by)))
    wrong = np.where(by, yes.error, no.error)
    return Outcome(value, wrong if wrong.any() else False)


@dataclass(frozen=True, kw_only=True)
class Quantified(Made):
    """``exists`` (``||`` over a list's items) and ``all`` (``&&``), of the list and the body."""

    word: str
    variable: str

    def _outcome(self, scope: Scope) -> Outcome:
        items = self.of[0](scope).value
        if isinstance(items, np.ndarray):
            return self._of_each(items, scope)
        join = both if self.word == AND else one_of
        bodies = (self.of[1](scope.binding(self.variable, Outcome(item))) for item in items)
        return folded(join, bodies, decided=self.word == OR)

    def _of_each(self, lists: NDArray[np.object_], scope: Scope) -> Outcome:
        """Of n lists: the body is computed on all items of all lists at once."""
        owners = np.repeat(np.arange(len(lists)), [len(each) for each in lists])
        flat = objects([item for each in lists for item in each])
        found = self.of[1](scope.binding(self.variable, Outcome(flat)))
        value, error = (spread(each, len(flat)) for each in found)
        decides = value if self.word == OR else ~value & ~error
        decided, wrong = (np.zeros(len(lists), dtype=np.bool_) for _ in range(2))
        decided[owners[decides]] = True
        wrong[owners[error]] = True
        wrong &= ~decided
        return Outcome(decided if self.word == OR else ~decided & ~wrong, wrong)


def compiled_pattern(pattern: str) -> Any:
    """Raises re2.error for what is no pattern, or needs too much memory."""
    options = re2.Options()
    options.max_mem = PATTERN_BYTES
    options.never_capture = True
    options.log_errors = False
    return re2.compile(pattern, options)
