"""While a rebuild makes the next generation of profiles, batches go into both."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import pytest

from services.profiles.batches import Batches
from services.shared.errors import RedisUnavailable
from services.shared.profile_codec import decode
from services.shared.profile_generations import Generations, read_generations
from services.shared.profile_store import MemoryProfileStore, Write
from tests.profile_events import FakeRecord, record, view
from tests.worker_in_memory import batches


async def keep(through: Batches, one: FakeRecord) -> None:
    await through.keep([through.judge(0, [one])])


class Away(MemoryProfileStore):
    """A store that takes nothing now."""

    async def save(self, writes: Sequence[Write], *, retention: timedelta) -> list[bool]:
        raise RedisUnavailable("away")


async def test_a_generation_that_is_being_made() -> None:
    """It gets what the present one gets, and first: at the switch it lacks nothing."""
    through, making = batches(), MemoryProfileStore()
    assert isinstance(through.store, MemoryProfileStore)
    await keep(through, record(view("e1"), 0))
    through.store.making = making
    await keep(through, record(view("e2"), 1))
    (present,), (made,) = [await store.load([b"demo/u:ana"]) for store in (through.store, making)]
    assert [len(decode(each.value).views) for each in (present, made)] == [2, 1]
    through.store.making = Away()
    with pytest.raises(RedisUnavailable):
        await keep(through, record(view("e3"), 2))
    assert await through.store.load([b"demo/u:ana"]) == [present]


@pytest.mark.parametrize(
    ("text", "means"),
    [(None, (0, None)), (b"", (0, None)), (b"7", (7, None)), (b"7 8", (7, 8))],
)
def test_what_the_key_says(text: bytes | None, means: tuple[int, int | None]) -> None:
    assert read_generations(text) == Generations(*means)
