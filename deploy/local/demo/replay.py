"""Load the catalogue and replay the purchases, showing how fast and how far behind."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Final

import msgspec
import polars as pl

from deploy.local.demo.complete_journey import CatalogProduct, baskets
from deploy.local.demo.narration import Advance, Narrator
from deploy.local.demo.records import Record, offer_record, product_record, purchase_record
from deploy.local.demo.sending import EVENTS, Lag, producer, send_all
from deploy.local.metrics import metric
from deploy.local.stack import Addresses
from deploy.local.supervised import StackFailed
from deploy.local.told import SHOP

CATALOG_SECONDS: Final = 60.0
"""How long the server is given for the catalogue once all of it was sent."""

TAKEN_IN: Final = ("catalog_records_applied_total", "catalog_records_refused_total")


class Replayed(msgspec.Struct, frozen=True):
    """How a replay went. ``folded_in`` is from the first event sent to lag 0, in seconds."""

    events: int
    lines: int
    refused: int
    """As the worker counts them; each of the others is in a profile."""
    sent_in: float
    folded_in: float


async def load_catalog(
    addresses: Addresses, products: list[CatalogProduct], narrator: Narrator
) -> float:
    """Send every product and every offer; answers the seconds until the server has all."""
    start = time.monotonic()
    async with producer(addresses.kafka) as sender:
        for topic, record in (("catalog", product_record), ("offers", offer_record)):
            records = (record(SHOP, product) for product in products)
            with narrator.progress(topic, len(products)) as advance:
                await send_all(sender, topic, records, advance)
    with narrator.progress("taken in by the server", 2 * len(products)) as advance:
        await _taken_in(addresses.server_metrics, 2 * len(products), advance)
    if refused := metric(addresses.server_metrics, TAKEN_IN[1]):
        raise StackFailed(f"the server refused {refused:.0f} records of the catalogue; see its log")
    return time.monotonic() - start


async def _taken_in(server_metrics: str, records: int, advance: Advance) -> None:
    """Return once the server has read ``records``. Raises StackFailed if it takes too long."""
    deadline = time.monotonic() + CATALOG_SECONDS
    while (read := sum(metric(server_metrics, name) for name in TAKEN_IN)) < records:
        if time.monotonic() > deadline:
            raise StackFailed(
                f"the server has {read:,.0f} of {records:,} records after {CATALOG_SECONDS:.0f} s"
            )
        advance(int(read))
        await asyncio.sleep(0.1)
    advance(records)


async def replay(
    addresses: Addresses, lines: pl.DataFrame, *, shift: int, narrator: Narrator
) -> Replayed:
    """Send the orders of ``lines`` as events, and wait until all are folded into profiles."""
    servers = addresses.kafka
    total = lines["order_id"].n_unique()
    refused = _refused(addresses)
    start = time.monotonic()
    async with Lag(servers) as lag, producer(servers) as sender:
        with narrator.progress("sent", total) as advance:
            async with _watched(lag) as lag_now:

                def show(done: int) -> None:
                    rate = done / (time.monotonic() - start)
                    advance(done, f"{rate:,.0f} events/s, {lag_now()}")

                sent = await send_all(sender, EVENTS, _records(lines, shift), show)
        sent_in = time.monotonic() - start
        behind = await lag.events()
        with narrator.progress("folded after the last was sent", behind) as advance:
            await lag.until_none(advance, within=120)
    folded_in = time.monotonic() - start
    return Replayed(sent, len(lines), _refused(addresses) - refused, sent_in, folded_in)


def _refused(addresses: Addresses) -> int:
    """How many events the worker has sent to ``dead-letters``."""
    accepted = metric(addresses.worker_metrics, 'events_total{outcome="accepted"}')
    return int(metric(addresses.worker_metrics, "events_total") - accepted)


def _records(lines: pl.DataFrame, shift: int) -> Iterator[Record]:
    return (purchase_record(SHOP, basket, shift=shift) for basket in baskets(lines))


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
