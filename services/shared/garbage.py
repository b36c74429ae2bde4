"""How often Python looks for circles of garbage, in processes that work in batches."""

from __future__ import annotations

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
