"""A visitor whom nobody knows: what is answered at first, and how soon the first look counts."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from random import Random
from typing import Any, Final, NamedTuple

from aiokafka import AIOKafkaProducer
from attune.recommendations.v1 import recommendation_service_pb2 as api

from services.shared.subject import event_key
from tests.bench.cold_start.asking import Asking, milliseconds, until
from tests.bench.cold_start.world import SHOP, World
from tests.profile_events import text_of

EVENTS: Final = "shopper-events"
HONEST: Final = frozenset({api.SOURCE_TRENDING, api.SOURCE_POPULAR})
WITHIN_SECONDS: Final = 10.0


class Visit(NamedTuple):
    """One visitor; milliseconds, None where it never came."""

    first: float
    is_honest: bool
    """The first list trends or is popular, and says that nobody knows the visitor."""
    told: float
    """A list by what the call itself says of the visit."""
    is_session: bool
    personal: float | None
    """From sending the first look to a list that follows from it."""


async def visit(
    number: int, world: World, asking: Asking, producer: AIOKafkaProducer, random: Random
) -> Visit:
    """One visitor comes, and looks at one product."""
    visitor, product = f"visitor-{number}-{time.time_ns()}", random.choice(world.twins).like
    started = time.perf_counter()
    answer = await asking.recommend(visitor)
    first = milliseconds(started)
    unknown = api.FALLBACK_CAUSE_UNKNOWN_SHOPPER
    is_honest = answer.source in HONEST and answer.fallback_cause == unknown
    context = api.Context(recent_product_ids=[product.product_id])
    started = time.perf_counter()
    answer = await asking.recommend(visitor, context=context)
    told, is_session = milliseconds(started), answer.source == api.SOURCE_SESSION
    key, value = looked(visitor, product.product_id)
    started = time.perf_counter()
    await producer.send(EVENTS, value, key=key)

    async def follows() -> bool:
        return _follows_from(await asking.recommend(visitor), product.product_id)

    personal = await until(follows, started=started, within=WITHIN_SECONDS)
    return Visit(first, is_honest, told, is_session, personal)


def looked(visitor_id: str, product_id: str) -> tuple[bytes, bytes]:
    """Key and value of a view, now."""
    event: dict[str, Any] = {
        "eventId": f"{visitor_id}-{product_id}",
        "shopId": SHOP,
        "visitorId": visitor_id,
        "occurredAt": text_of(datetime.now(UTC)),
        "view": {"productId": product_id},
    }
    return event_key(SHOP, f"v:{visitor_id}"), json.dumps(event).encode()


def _follows_from(answer: api.RecommendResponse, product_id: str) -> bool:
    """Whether a list is personal, and for the reason that the product was looked at."""
    return answer.source == api.SOURCE_PERSONAL and any(
        each.reason.product_id == product_id for each in answer.products
    )
