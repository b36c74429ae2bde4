"""A retrained bundle's whole way on a live server: in the shadow, as canary, to all shoppers."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import grpc
import pytest
from attune.recommendations.v1 import recommendation_service_pb2 as pb
from attune.recommendations.v1 import recommendation_service_pb2_grpc as pb_grpc

from services.recommendations.adapters.registry import Registry
from services.recommendations.advancing import tallies
from services.recommendations.domain.comparison import Tally
from services.recommendations.domain.next_step import RETRAINING
from services.recommendations.domain.serving import Canary, is_canarys
from services.shared.archive_storage import LocalStorage
from tests.model_life import WITHIN, Life, living
from tests.recommendation_shop import VECTORS, bought
from tests.waiting import eventually_async

NEW = "r"
ENOUGH = 5
TERMS = f"--shadow-hours 0.0002 --compared {ENOUGH} --canary-hours 0.0002 --share 0.5"
"""Hours: not a second."""
PAUSE_SECONDS = 0.3
"""Of each shopper between two calls: too few are compared for a guard to judge by chance."""


@pytest.fixture
def life(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kafka_servers: str, redis_url: str
) -> Iterator[Life]:
    monkeypatch.setenv("FSSPEC_FILE_AUTO_MKDIR", "true")  # as object stores have no folders
    with living(tmp_path, kafka_servers, redis_url) as life:
        yield life


class Shoppers:
    """Two whom the canary will answer and two others, who ask all the time."""

    def __init__(self, life: Life) -> None:
        self._life = life
        terms = Canary(version=NEW, share=0.5)
        people = [f"u{number}" for number in range(60)]
        ours = [who for who in people if is_canarys(terms, "demo", f"u:{who}")]
        self.ours, self.others = ours[:2], [who for who in people if who not in ours][:2]
        self.seen: dict[str, list[str]] = {who: [] for who in (*self.ours, *self.others)}
        """Of each, the versions that answered, in their order."""
        for who in self.seen:
            life.demo.know(f"u:{who}", bought("mug"))

    async def ask(self, over: asyncio.Event) -> None:
        """All of them, until it is over; a call that fails ends the test."""
        async with grpc.aio.insecure_channel(self._life.service.address) as channel:
            stub = pb_grpc.RecommendationServiceStub(channel)
            await asyncio.gather(*(self._one(stub, who, over) for who in self.seen))

    async def _one(
        self, stub: pb_grpc.RecommendationServiceAsyncStub, who: str, over: asyncio.Event
    ) -> None:
        metadata = (("authorization", f"Bearer {self._life.demo.key}"),)
        while not over.is_set():
            asked = pb.RecommendRequest(user_id=who)
            answer = await stub.Recommend(asked, metadata=metadata, timeout=10)
            assert answer.source == pb.SOURCE_PERSONAL
            if self.seen[who][-1:] != [answer.model_version]:
                self.seen[who].append(answer.model_version)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(over.wait(), PAUSE_SECONDS)

    def answered_by(self, ours: str, others: str) -> Callable[[], Awaitable[bool]]:
        async def so() -> bool:
            found = {who: seen[-1] for who, seen in self.seen.items() if seen}
            return found == dict.fromkeys(self.ours, ours) | dict.fromkeys(self.others, others)

        return so


def test_a_retrained_bundle_comes_to_all_shoppers(life: Life) -> None:
    """Step by step by ``advance``, each once its terms are met; no call fails on the way."""
    life.do("publish", str(life.bundle(NEW, {**VECTORS, "fork": (0.0, 0.5, 0.5)})))
    shoppers = Shoppers(life)
    registry = Registry(LocalStorage(life.registry), lambda: 0)

    async def compared() -> bool:
        found = tallies(registry, "demo", "a", NEW).values()
        return sum(found, Tally()).compared >= ENOUGH

    async def advance(until: Callable[[], object]) -> None:
        async def so() -> object:
            await asyncio.to_thread(life.do, "advance", "--without-clicks", *TERMS.split())
            return until()

        await eventually_async(so, within=WITHIN)

    async def on_trial(over: asyncio.Event) -> None:
        try:
            await eventually_async(shoppers.answered_by("a", "a"), within=WITHIN)
            life.do("shadow", NEW, "--sample", "1", "--who", RETRAINING)
            await advance(lambda: True)
            assert life.serving().shadow is not None, "nothing was compared yet"
            await eventually_async(compared, within=WITHIN)
            await advance(lambda: life.serving().canary)
            await eventually_async(shoppers.answered_by(NEW, "a"), within=WITHIN)
            await advance(lambda: life.serving().served == NEW)
            await eventually_async(shoppers.answered_by(NEW, NEW), within=WITHIN)
        finally:
            over.set()

    async def whole() -> None:
        over = asyncio.Event()
        await asyncio.gather(on_trial(over), shoppers.ask(over))

    asyncio.run(whole())
    assert set(map(tuple, shoppers.seen.values())) == {("a", NEW)}, "none went back and forth"
    serving = life.serving()
    assert (serving.served, serving.former, serving.canary, serving.shadow) == (
        *(NEW, "a"),
        *(None, None),
    )
    history = [change for change in registry.history("demo") if change.who == RETRAINING]
    assert [each.what for each in history] == [
        f"promote {NEW}",
        f"canary {NEW}, 0.5",
        f"shadow {NEW}, 1",
    ]
    assert "no guard fell" in history[0].why
    assert "answers compared" in history[1].why
