"""A product that nobody has bought: how soon after its listing it is ranked by what it is."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from typing import Final, NamedTuple

from aiokafka import AIOKafkaProducer
from attune.recommendations.v1 import recommendation_service_pb2 as api

from tests.bench.cold_start.asking import MOST, Asking, until
from tests.bench.cold_start.visitors import EVENTS, looked
from tests.bench.cold_start.world import Twin

WITHIN_SECONDS: Final = 10.0
NEW: Final = "product.age_days < 1.0"
"""A page of what is new: what of it is placed is ranked by the model, the rest is not there."""


class Listed(NamedTuple):
    """One listing; milliseconds from sending it, None where it never came."""

    similar: float | None
    """Among the hundred most like its twin."""
    new_for: float | None
    """In what is new for a visitor who looked at its twin, by the model."""
    place_similar: int | None
    """From 1 on."""
    place_home: int | None
    """The same in the visitor's first hundred of the home page, of the whole catalogue."""


async def listed(twin: Twin, asking: Asking, producer: AIOKafkaProducer) -> Listed:
    """List one product, and ask until it is there."""
    visitor = f"fan-of-{twin.product_id}"
    await _comes(visitor, twin, asking, producer)
    catalog, offer = twin.listing()
    started = time.perf_counter()
    for topic, (key, value) in (("offers", offer), ("catalog", catalog)):
        await producer.send(topic, value, key=key)

    async def is_similar() -> bool:
        return _place((await asking.similar(twin.like.product_id)).products, twin) is not None

    async def is_new_for() -> bool:
        answer = await asking.recommend(visitor, filter=NEW, limit=MOST)
        by_model = answer.source == api.SOURCE_PERSONAL
        return by_model and _by_taste(answer, twin)

    similar, new_for = await asyncio.gather(
        until(is_similar, started=started, within=WITHIN_SECONDS),
        until(is_new_for, started=started, within=WITHIN_SECONDS),
    )
    page = await asking.similar(twin.like.product_id)
    home = await asking.recommend(visitor, limit=MOST)
    return Listed(similar, new_for, _place(page.products, twin), _place(home.products, twin))


async def _comes(visitor: str, twin: Twin, asking: Asking, producer: AIOKafkaProducer) -> None:
    """A visitor looks at the twin, and is known."""
    key, value = looked(visitor, twin.like.product_id)
    await producer.send_and_wait(EVENTS, value, key=key)

    async def is_known() -> bool:
        return (await asking.recommend(visitor)).source == api.SOURCE_PERSONAL

    known = await until(is_known, started=time.perf_counter(), within=WITHIN_SECONDS)
    assert known is not None, f"{visitor} is not known after {WITHIN_SECONDS} s"


def _by_taste(answer: api.RecommendResponse, twin: Twin) -> bool:
    """Whether the product stands there for what the visitor did, and not to fill the list."""
    return any(
        each.product_id == twin.product_id and each.reason.kind == api.Reason.KIND_VIEWED
        for each in answer.products
    )


def _place(products: Iterable[api.RankedProduct], twin: Twin) -> int | None:
    ids = [each.product_id for each in products]
    return ids.index(twin.product_id) + 1 if twin.product_id in ids else None
