"""What a part of an expression comes to: values, and where it comes to an error instead.

CEL knows errors as outcomes: a missing key, a division by zero. ``&&`` and ``||`` pass over an
error where the other side decides; everything else that is given one comes to it as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Truth = bool | NDArray[np.bool_]
"""What holds for all rows, or [n]."""


class Outcome(NamedTuple):
    """The values of n rows, or one that holds for all of them.

    Numbers and truths are arrays of NumPy's, texts and lists arrays of objects. A truth is
    False where there is an error; any other value means nothing there.
    """

    value: Any
    error: Truth = False


_NOTHING: Final = {"bool": False, "int": 0, "double": 0.0, "string": ""}


def failed(kind: str) -> Outcome:
    """An error in all rows, with a value of this type of CEL's, as others go on with values."""
    return Outcome(_NOTHING[kind], error=True)


def either(left: Truth, right: Truth) -> Truth:
    """Where one of the two is true; what holds for all rows costs nothing."""
    if left is False or right is True:
        return right
    if right is False or left is True:
        return left
    return left | right


def common(left: Truth, right: Truth) -> Truth:
    """Where both are true."""
    if left is True or right is False:
        return right
    if right is True or left is False:
        return left
    return left & right


def without(truth: Any, error: Truth) -> Any:
    """``truth``, False where there is an error."""
    if error is False:
        return truth
    return False if error is True else truth & ~error


def negated(given: Outcome) -> Outcome:
    """``!``: an error stays one."""
    value = given.value
    return Outcome(
        without(not value if isinstance(value, bool) else ~value, given.error), given.error
    )


def both(left: Outcome, right: Outcome) -> Outcome:
    """``&&``: what is false on one side is false, whatever stands on the other."""
    by_left = common(left.error, either(right.value, right.error))
    by_right = common(right.error, either(left.value, left.error))
    return Outcome(common(left.value, right.value), either(by_left, by_right))


def one_of(left: Outcome, right: Outcome) -> Outcome:
    """``||``: what is true on one side is true, whatever stands on the other."""
    value = either(left.value, right.value)
    return Outcome(value, without(either(left.error, right.error), value))


def folded(
    join: Callable[[Outcome, Outcome], Outcome], outcomes: Iterable[Outcome], *, decided: bool
) -> Outcome:
    """All of them joined; those behind one that is ``decided`` for all rows are not asked for.

    Nothing at all comes to the contrary, as an empty ``all`` is true and ``exists`` false.
    """
    whole = None
    for each in outcomes:
        whole = each if whole is None else join(whole, each)
        if whole.value is decided and whole.error is False:
            break
    return Outcome(not decided) if whole is None else whole
