"""Asks the shop's server, and looks how soon an answer is what it should become."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

import grpc
from attune.recommendations.v1 import recommendation_service_pb2 as api
from attune.recommendations.v1 import recommendation_service_pb2_grpc as services

ASK_SECONDS: Final = 5.0
LEAST_PAUSE_SECONDS: Final = 0.003
MOST: Final = 100
"""Products of a list, as many as may be asked for."""


class Late(Exception):
    """A call was not answered within its deadline."""


class Asking:
    """One channel; milliseconds are from a start that the caller names to an answer's arrival."""

    def __init__(self, channel: grpc.aio.Channel, key: str) -> None:
        stub = services.RecommendationServiceStub(channel)
        self._recommend, self._similar = stub.Recommend, stub.SimilarProducts
        self._metadata = (("authorization", f"Bearer {key}"),)

    async def recommend(self, visitor_id: str, **request: Any) -> api.RecommendResponse:
        """What to show a visitor. Raises Late."""
        asked = api.RecommendRequest(visitor_id=visitor_id, **request)
        answer: api.RecommendResponse = await self._answer(self._recommend, asked)
        return answer

    async def similar(self, product_id: str) -> api.SimilarProductsResponse:
        """What is like a product. Raises Late."""
        asked = api.SimilarProductsRequest(product_id=product_id, limit=MOST)
        answer: api.SimilarProductsResponse = await self._answer(self._similar, asked)
        return answer

    async def _answer(self, call: Callable[..., Awaitable[Any]], asked: object) -> Any:
        try:
            return await call(asked, timeout=ASK_SECONDS, metadata=self._metadata)
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
                raise Late from error
            raise


def milliseconds(started: float) -> float:
    """Since ``started``, in seconds of ``time.perf_counter``."""
    return (time.perf_counter() - started) * 1000


async def until(
    look: Callable[[], Awaitable[object]], *, started: float, within: float
) -> float | None:
    """Milliseconds until ``look``, awaited again and again, answers something true; None: never.

    The longer it takes the less often it looks, so that asking does not itself hold up what it
    waits for; no figure is finer than a twentieth of itself. A call past its deadline has not
    shown it yet: its seconds are in the figure.
    """
    while True:
        with contextlib.suppress(Late):
            if await look():
                return milliseconds(started)
        taken = time.perf_counter() - started
        if taken > within:
            return None
        await asyncio.sleep(max(LEAST_PAUSE_SECONDS, taken / 20))
