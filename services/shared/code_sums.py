"""The sums behind the scores of product codes, as machine code (Numba).

Numba and what it compiles with take a hundred megabytes, so this is imported only where there are
product codes to be scored. What is compiled when first called is kept on disk, beside the source,
among the user's caches, or where ``NUMBA_CACHE_DIR`` says; where none can be written, it is
compiled at each start, in a second.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

from services.shared.item_vectors import Floats

F = TypeVar("F", bound=Callable[..., Any])

_BYTE: Final = np.uint32(255)
_EXPONENT: Final = np.uint32((127 - 15) << 23)
"""What the exponents of float32 and float16 differ by."""


def _compiled(function: F) -> F:
    try:
        return cast("F", numba.njit(function, nogil=True, error_model="numpy", cache=True))
    except RuntimeError:  # there is no folder to keep it in
        return cast("F", numba.njit(function, nogil=True, error_model="numpy"))


@_compiled
def sums(words: NDArray[np.uint32], tables: Floats, scale: NDArray[np.uint16], out: Floats) -> None:
    """Write scaleᵢ · Σⱼ tables[256 j + codeᵢⱼ] to ``out`` [n].

    ``words`` [n, m/4] has four codes in each number, the first in its lowest byte; ``tables`` has
    256 m numbers; ``scale`` [n] the bits of float16, of which none is below its least normal
    number but 0. Four sums at a time: a processor adds while it looks up. Nothing is checked.
    """
    for i in range(len(words)):
        first, second, third, fourth = np.float32(0), np.float32(0), np.float32(0), np.float32(0)
        for j in range(words.shape[1]):
            word = words[i, j]
            at = 1024 * j
            first += tables[at + (word & _BYTE)]
            second += tables[at + 256 + ((word >> np.uint32(8)) & _BYTE)]
            third += tables[at + 512 + ((word >> np.uint32(16)) & _BYTE)]
            fourth += tables[at + 768 + (word >> np.uint32(24))]
        bits = np.uint32(scale[i])
        if bits == 0:
            out[i] = 0
        else:
            factor = np.uint32((bits << np.uint32(13)) + _EXPONENT).view(np.float32)
            out[i] = ((first + second) + (third + fourth)) * factor
