"""Changes of a catalogue, at a steady rate, while something else is measured."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from deploy.local.demo.complete_journey import CatalogProduct
from deploy.local.demo.records import offer_record
from deploy.local.demo.sending import producer
from tests.bench.serve.world import SHOP

TICK_SECONDS: Final = 0.01


@dataclass
class Sent:
    """How many were sent, and at the end how many a second."""

    number: int = 0
    rate: float = 0.0


@asynccontextmanager
async def updates(
    servers: str, products: Sequence[CatalogProduct], rate: int
) -> AsyncIterator[Sent]:
    """Send ``rate`` offers a second until the end: other prices, and now and then none left."""
    sent, started = Sent(), time.monotonic()
    sending = asyncio.create_task(_send(servers, products, rate, sent))
    try:
        yield sent
    finally:
        sending.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await sending
        sent.rate = sent.number / (time.monotonic() - started)


async def _send(servers: str, products: Sequence[CatalogProduct], rate: int, sent: Sent) -> None:
    chosen = random.Random(1)
    async with producer(servers) as sender:
        started = time.monotonic()
        while True:
            for _ in range(int((time.monotonic() - started) * rate) - sent.number):
                product = chosen.choice(products)
                changed = product._replace(
                    price=(product.price or 100) + chosen.randint(-5, 5),
                    deliverable=chosen.random() > 0.02,
                )
                key, value = offer_record(SHOP, changed)
                await sender.send("offers", value, key=key)
                sent.number += 1
            await asyncio.sleep(TICK_SECONDS)
