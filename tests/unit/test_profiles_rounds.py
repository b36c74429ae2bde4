"""Rounds: what waits goes together, bounded, and each who joined is told how it went."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from services.profiles.rounds import Rounds


class Work:
    """Work that takes until it is let go, and may fail."""

    def __init__(self) -> None:
        self.done: list[tuple[str, list[str]]] = []
        self.under_way = self.most_under_way = 0
        self.go = asyncio.Event()
        self.error: Exception | None = None

    async def __call__(self, kind: str, some: Sequence[str]) -> str:
        self.done.append((kind, list(some)))
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        await self.go.wait()
        self.under_way -= 1
        if self.error is not None:
            error, self.error = self.error, None
            raise error
        return "".join(some)


Parts = tuple[Work, "Rounds[str, str, str]"]


@pytest.fixture
def parts() -> Parts:
    """One round at once, of up to four letters."""
    work = Work()
    return work, Rounds(work, at_once=1, size_of=len, most=4)


async def joined(rounds: Rounds[str, str, str], *asked: tuple[str, str]) -> list[asyncio.Task[str]]:
    """Each has joined, in order."""
    tasks = [asyncio.create_task(rounds.join(kind, one)) for kind, one in asked]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return tasks


async def test_what_waits_goes_together(parts: Parts) -> None:
    """All that joined before a round starts, or while another is under way; up to its bound."""
    work, rounds = parts
    first = await joined(rounds, ("k", "a"))
    rest = await joined(rounds, ("k", "b"), ("k", "cd"), ("k", "ef"))
    assert work.done == [("k", ["a"])]
    work.go.set()
    assert await asyncio.gather(*first, *rest) == ["a", "bcd", "bcd", "ef"]
    assert (work.done[1:], work.most_under_way) == ([("k", ["b", "cd"]), ("k", ["ef"])], 1)


async def test_one_that_is_larger_than_a_round_goes_alone(parts: Parts) -> None:
    """It is not split, and it does not wait for ever."""
    work, rounds = parts
    work.go.set()
    tasks = await joined(rounds, ("k", "abcdef"), ("k", "g"))
    assert await asyncio.gather(*tasks) == ["abcdef", "g"]


async def test_kinds_stay_apart_and_take_turns(parts: Parts) -> None:
    """Of a kind with much to do one round, then the other kind's."""
    work, rounds = parts
    work.go.set()
    asked = [("k", "abcd"), ("k", "efgh"), ("l", "i"), ("k", "j")]
    await asyncio.gather(*await joined(rounds, *asked))
    assert work.done == [("k", ["abcd"]), ("l", ["i"]), ("k", ["efgh"]), ("k", ["j"])]


async def test_no_more_at_once_than_may_be() -> None:
    """However many join, and all are done."""
    work = Work()
    rounds: Rounds[str, str, str] = Rounds(work, at_once=3, size_of=len, most=1)
    tasks = await joined(rounds, *[("k", f"{n}") for n in range(10)])
    assert work.under_way == 3
    work.go.set()
    assert await asyncio.gather(*tasks) == [f"{n}" for n in range(10)]
    assert work.most_under_way == 3


async def test_a_round_that_fails(parts: Parts) -> None:
    """All who were in it are told why, nobody else; and it goes on."""
    work, rounds = parts
    work.error = ValueError("away")
    tasks = await joined(rounds, ("k", "a"), ("k", "b"), ("l", "c"))
    work.go.set()
    told = await asyncio.gather(*tasks, return_exceptions=True)
    assert [str(each) for each in told] == ["away", "away", "c"]
    assert await rounds.join("k", "a") == "a"


async def test_who_no_longer_waits(parts: Parts) -> None:
    """Is done all the same, and the others are told."""
    work, rounds = parts
    one, other = await joined(rounds, ("k", "a"), ("k", "b"))
    one.cancel()
    work.go.set()
    assert await other == "ab"
