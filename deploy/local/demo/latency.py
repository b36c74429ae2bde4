"""How long `Recommend` takes: one connection, one call after the other."""

from __future__ import annotations

import time

import msgspec
import numpy as np

from deploy.local.demo.narration import Narrator
from deploy.local.demo.storefront import Storefront


class Latency(msgspec.Struct, frozen=True):
    """Milliseconds, as the caller sees them."""

    calls: int
    p50: float
    p99: float


def measure(storefront: Storefront, user_ids: list[str], calls: int, narrator: Narrator) -> Latency:
    """Ask for the given users in turn."""
    taken = np.empty(calls)
    with narrator.progress("calls", calls) as advance:
        for call in range(calls):
            user_id = user_ids[call % len(user_ids)]
            start = time.perf_counter()
            storefront.recommend(user_id)
            taken[call] = time.perf_counter() - start
            if (call + 1) % 100 == 0 or call + 1 == calls:
                advance(call + 1)
    p50, p99 = np.percentile(taken * 1000, [50, 99])
    return Latency(calls, float(p50), float(p99))
