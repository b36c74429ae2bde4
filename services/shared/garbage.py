"""How often Python looks for circles of garbage, and what becomes of memory that is free."""

from __future__ import annotations

import ctypes
import gc
from typing import Final

COLLECTED_AFTER: Final = (50_000, 20, 100)
"""New objects, then rounds of the younger generation, before Python looks at one."""


def collect_seldom() -> None:
    """Have Python look for circles of garbage less often.

    A batch makes ten thousands of small objects that live until its end and form no circles;
    with the usual thresholds a third of the worker's time went into looking at them.
    """
    gc.freeze()
    gc.set_threshold(*COLLECTED_AFTER)


def keep_what_is_there() -> None:
    """What there is now stays: no later collection walks over it, and what it left is given back.

    For the end of a start that has read much.
    """
    gc.collect()
    gc.freeze()
    give_memory_back()


def give_memory_back() -> None:
    """Hand memory that is free back to the system, where the C library would keep it (glibc).

    For what is done seldom and takes much memory for a moment. Takes milliseconds, in which other
    threads may wait for memory.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
