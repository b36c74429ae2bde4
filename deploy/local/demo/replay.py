"""Load the catalogue and replay the purchases, showing how fast and how far behind."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

import msgspec
import polars as pl

from deploy.local.demo.complete_journey import CatalogProduct, baskets
from deploy.local.demo.narration import Narrator
from deploy.local.demo.records import Record, offer_record, product_record, purchase_record
from deploy.local.demo.sending import EVENTS, Lag, producer, send_all


class Replayed(msgspec.Struct, frozen=True):
    """How a replay went. ``folded_in`` is from the first event sent to lag 0, in seconds."""

    events: int
    lines: int
    sent_in: float
    folded_in: float


async def load_catalog(
    servers: str, shop_id: str, products: list[CatalogProduct], narrator: Narrator
) -> float:
    """Send every product and every offer; answers the seconds it took."""
    start = time.monotonic()
    async with producer(servers) as sender:
        for topic, record in (("catalog", product_record), ("offers", offer_record)):
            records = (record(shop_id, product) for product in products)
            with narrator.progress(topic, len(products)) as advance:
                await send_all(sender, topic, records, advance)
    return time.monotonic() - start


async def replay(
    servers: str, shop_id: str, lines: pl.DataFrame, *, shift: int, narrator: Narrator
) -> Replayed:
    """Send the orders of ``lines`` as events, and wait until all are folded into profiles."""
    total = lines["order_id"].n_unique()
    start = time.monotonic()
    async with Lag(servers) as lag, producer(servers) as sender:
        with narrator.progress("sent", total) as advance:
            async with _watched(lag) as lag_now:

                def show(done: int) -> None:
                    rate = done / (time.monotonic() - start)
                    advance(done, f"{rate:,.0f} events/s, {lag_now()}")

                sent = await send_all(sender, EVENTS, _records(shop_id, lines, shift), show)
        sent_in = time.monotonic() - start
        behind = await lag.events()
        with narrator.progress("folded after the last was sent", behind) as advance:
            await lag.until_none(advance, within=120)
    return Replayed(sent, len(lines), sent_in, time.monotonic() - start)


def _records(shop_id: str, lines: pl.DataFrame, shift: int) -> Iterator[Record]:
    return (purchase_record(shop_id, basket, shift=shift) for basket in baskets(lines))


@asynccontextmanager
async def _watched(lag: Lag) -> AsyncIterator[Callable[[], str]]:
    """The lag in words, looked up twice a second."""
    latest = 0

    async def watch() -> None:
        nonlocal latest
        while True:
            latest = await lag.events()
            await asyncio.sleep(0.5)

    task = asyncio.create_task(watch())
    try:
        yield lambda: f"lag {latest:,}"
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
