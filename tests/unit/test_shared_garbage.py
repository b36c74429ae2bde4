"""What becomes of what a start has read, and of what it left."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator

import psutil
import pytest

from services.shared.garbage import give_memory_back, keep_what_is_there

MB = 1_000_000


@pytest.fixture(autouse=True)
def melted() -> Iterator[None]:
    """Afterwards all is collected again."""
    yield
    gc.unfreeze()


def held() -> int:
    return int(psutil.Process().memory_info().rss)


@pytest.mark.parametrize("gives", [give_memory_back, keep_what_is_there])
def test_memory_that_is_free_goes_back_to_the_system(gives: Callable[[], None]) -> None:
    """Small blocks below one that is kept would stay with the C library."""
    blocks = [bytes(2_000) for _ in range(50_000)]
    kept = bytes(2_000)
    before = held()
    del blocks
    gives()
    assert held() < before - 50 * MB
    assert len(kept) == 2_000


def test_what_is_there_is_not_looked_at_again() -> None:
    """A circle that is garbage is collected before; one that is made later is, too."""
    keep_what_is_there()
    frozen = gc.get_freeze_count()
    assert frozen > 10_000
    circle: list[object] = []
    circle.append(circle)
    assert gc.get_freeze_count() == frozen
    del circle
    assert gc.collect() >= 1
