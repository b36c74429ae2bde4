"""Callers who have little time: each is answered within it, or refused honestly."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import grpc
import pytest
from attune.recommendations.v1 import recommendation_service_pb2 as pb

from tests.recommendation_shop import VECTORS, Running, Shop, bought

HONEST = {"OK", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED"}
CAUSES = {
    pb.FALLBACK_CAUSE_UNSPECIFIED,
    pb.FALLBACK_CAUSE_OUT_OF_TIME,
    pb.FALLBACK_CAUSE_PROFILE_UNAVAILABLE,
}


@pytest.mark.parametrize("milliseconds", [30, 40, 50])
def test_a_caller_with_little_time_is_answered(
    running: Running, shop: Shop, milliseconds: int
) -> None:
    """Lists that are there by the deadline say how they were made; no call breaks.

    How many they are depends on the machine; unit tests hold what is done with little time.
    """
    _stock(shop)
    before = _broken(running)
    codes = Counter(_answered(lambda: [shop.recommend(within=milliseconds / 1000)], 1, 60))
    assert codes.keys() <= HONEST
    assert codes["OK"]
    assert _broken(running) == before


def test_many_lists_come_by_one_short_deadline(running: Running, shop: Shop) -> None:
    """A batch that may have no time for a hundred whole lists comes, with a hundred."""
    _stock(shop)
    before = _broken(running)
    names = ["ana"] * 100

    def within(seconds: float) -> Callable[[], Sequence[pb.RecommendResponse]]:
        return lambda: shop.batch(*names, within=seconds).answers

    ended = [_code(within(seconds), 100) for seconds in (0.15, 0.2, 0.3, 0.5, 1.0, 2.0)]
    assert HONEST.issuperset(ended)
    assert "OK" in ended
    assert _broken(running) == before


def _stock(shop: Shop) -> None:
    shop.list_products(*VECTORS)
    shop.know("u:ana", bought("mug"))


def _answered(
    call: Callable[[], Sequence[pb.RecommendResponse]], lists: int, times: int
) -> list[str]:
    """How so many calls ended, each for so many lists; those that came have products."""
    return [_code(call, lists) for _ in range(times)]


def _code(call: Callable[[], Sequence[pb.RecommendResponse]], lists: int) -> str:
    try:
        answers = call()
    except grpc.RpcError as error:
        return str(error.code().name)
    assert len(answers) == lists
    for each in answers:
        assert each.products
        assert each.fallback_cause in CAUSES
    return "OK"


def _broken(running: Running) -> float:
    """Calls that the server itself counts as its own mistakes, also where nobody waits any more."""
    counted = "grpc_calls_total{code="
    assert running.service.metric(f'{counted}"OK"') > 0
    return sum(running.service.metric(f'{counted}"{code}"') for code in ("INTERNAL", "UNKNOWN"))
