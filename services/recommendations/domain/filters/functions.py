"""CEL's functions, by the names of their overloads, on single values and on arrays of them.

What is not in :data:`FUNCTIONS` is not in the language: the library that checks expressions is
told of these and refuses the rest. Signatures and outcomes are those of the language
definition's standard library; overloads of comparison that mix int and double are this one's
addition to what CEL's checker takes, as CEL's evaluator knows them: else a price could not be
compared with 10.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from itertools import product, repeat
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.recommendations.domain.columns import objects
from services.recommendations.domain.filters.outcomes import Outcome

Functions = Mapping[str, "Overload"]

INT_LIMIT: Final = 2**63
"""An int is at least minus this, and less than this."""

Compute = Callable[..., Outcome]
"""From values without errors to an outcome."""


class Overload(NamedTuple):
    """A function for operands of certain types."""

    function: str
    """Its name in a syntax tree, such as ``_<_``."""
    compute: Compute
    operands: Sequence[str] = ()
    """CEL's types, where the library must be told of this overload."""


def _numbers(ufunc: np.ufunc) -> Compute:
    """Of bools, ints and doubles by NumPy; an int beside a double is taken for one."""

    def compute(*values: Any) -> Outcome:
        found = ufunc(*values)
        return Outcome(found.item() if isinstance(found, np.generic) else found)

    return compute


def _doubles(ufunc: np.ufunc) -> Compute:
    """Of doubles by the rules of IEEE 754, where nothing is an error."""
    compute = _numbers(ufunc)
    return lambda *values: compute(*(np.float64(v) if isinstance(v, float) else v for v in values))


def each_of(kind: type[Any], function: Callable[..., Any], *values: Any) -> Any:
    """``function`` of each row's values, as an array of ``kind``; of single values, its own."""
    sizes = [len(value) for value in values if isinstance(value, np.ndarray)]
    if not sizes:
        return function(*values)
    columns = (v if isinstance(v, np.ndarray) else repeat(v, sizes[0]) for v in values)
    return np.fromiter(map(function, *columns), dtype=kind, count=sizes[0])


def spread(value: Any, count: int) -> NDArray[Any]:
    """[count] the value for each row, where it is not an array already."""
    if isinstance(value, np.ndarray):
        return value
    return objects([value] * count) if isinstance(value, str) else np.full(count, value)


def _texts(function: Callable[[str, str], bool]) -> Compute:
    return lambda left, right: Outcome(each_of(np.bool_, function, left, right))


def _ints(function: Callable[..., int]) -> Compute:
    """Of ints exactly; what does not fit, as dividing by zero, is an error."""

    def exact(*values: int) -> int | None:
        try:
            found = function(*map(int, values))
        except ZeroDivisionError:
            return None
        return found if -INT_LIMIT <= found < INT_LIMIT else None

    def compute(*values: Any) -> Outcome:
        found = each_of(np.object_, exact, *values)
        if not isinstance(found, np.ndarray):
            return Outcome(found or 0, found is None)
        error = np.fromiter((each is None for each in found), dtype=np.bool_, count=len(found))
        found[error] = 0
        return Outcome(found.astype(np.int64), error)

    return compute


def _quotient(left: int, right: int) -> int:
    """Rounded towards zero."""
    whole = abs(left) // abs(right)
    return whole if (left < 0) == (right < 0) else -whole


def _remainder(left: int, right: int) -> int:
    """With the sign of ``left``."""
    if right == -1 and left == -INT_LIMIT:
        return INT_LIMIT  # as the quotient that belongs to it: an overflow
    return left - _quotient(left, right) * right


def _size(value: Any) -> Outcome:
    return Outcome(each_of(np.int64, len, value))


def _in(item: Any, items: Any) -> Outcome:
    """Whether lists, or the one list ``items``, have the item."""
    if isinstance(items, np.ndarray):
        return Outcome(each_of(np.bool_, operator.contains, items, item))
    if not isinstance(item, np.ndarray):
        return Outcome(any(item == each for each in items))
    if item.dtype == np.object_:
        return Outcome(each_of(np.bool_, frozenset(items).__contains__, item))
    found = np.zeros(len(item), dtype=np.bool_)
    for each in items:
        found |= item == each
    return Outcome(found)


def _as_double(value: Any) -> Outcome:
    return Outcome(value.astype(np.float64) if isinstance(value, np.ndarray) else float(value))


def _comparison(name: str, sign: str, ufunc: np.ufunc, texts: Callable[..., bool]) -> Functions:
    """Numbers with numbers, texts with texts."""
    numbers = {
        f"{name}_{left}_{right}": Overload(sign, _numbers(ufunc), (left, right))
        for left, right in product(("int", "double"), repeat=2)
    }
    return {**numbers, f"{name}_string": Overload(sign, _texts(texts), ("string", "string"))}


_STANDARD: Final[Functions] = {
    "add_int64": Overload("_+_", _ints(operator.add)),
    "add_double": Overload("_+_", _doubles(np.add)),
    "subtract_int64": Overload("_-_", _ints(operator.sub)),
    "subtract_double": Overload("_-_", _doubles(np.subtract)),
    "multiply_int64": Overload("_*_", _ints(operator.mul)),
    "multiply_double": Overload("_*_", _doubles(np.multiply)),
    "divide_int64": Overload("_/_", _ints(_quotient)),
    "divide_double": Overload("_/_", _doubles(np.divide)),
    "modulo_int64": Overload("_%_", _ints(_remainder)),
    "negate_int64": Overload("-_", _ints(operator.neg)),
    "negate_double": Overload("-_", _doubles(np.negative)),
    "int64_to_double": Overload("double", _as_double),
    "size_string": Overload("size", _size),
    "string_size": Overload("size", _size),
    "size_list": Overload("size", _size),
    "list_size": Overload("size", _size),
    "starts_with_string": Overload("startsWith", _texts(str.startswith)),
    "ends_with_string": Overload("endsWith", _texts(str.endswith)),
    "contains_string": Overload("contains", _texts(operator.contains)),
    "in_list": Overload("@in", _in),
}

FUNCTIONS: Final[Functions] = {
    **_STANDARD,
    **_comparison("less", "_<_", np.less, operator.lt),
    **_comparison("less_equals", "_<=_", np.less_equal, operator.le),
    **_comparison("greater", "_>_", np.greater, operator.gt),
    **_comparison("greater_equals", "_>=_", np.greater_equal, operator.ge),
    **_comparison("equals", "_==_", np.equal, operator.eq),
    **_comparison("not_equals", "_!=_", np.not_equal, operator.ne),
    "equals_bool": Overload("_==_", _numbers(np.equal), ("bool", "bool")),
    "not_equals_bool": Overload("_!=_", _numbers(np.not_equal), ("bool", "bool")),
}
"""Every function but the forms that are more than a function of values: logic, ``?:``, maps."""
