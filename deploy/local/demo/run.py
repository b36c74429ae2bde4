"""The demo from beginning to end; `make demo` runs it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from deploy.local.demo import evaluation, households, latency
from deploy.local.demo.complete_journey import (
    CatalogProduct,
    Sales,
    newest,
    read_products,
    read_sales,
)
from deploy.local.demo.narration import Narrator
from deploy.local.demo.replay import Replayed, load_catalog, replay
from deploy.local.demo.sending import producer
from deploy.local.demo.staging import perform, shown
from deploy.local.demo.storefront import Storefront
from deploy.local.stack import Addresses, Stack
from deploy.local.told import BUNDLE, EVENT_AGE_LIMIT_SECONDS, Ports
from model_export.evaluation.evaluate import Evaluation

FIGURES: Final = "figures.json"
"""Where in the stack's folder a run leaves its figures."""

CALLS: Final = 2000
DAY: Final = 24 * 3600


class Figures(msgspec.Struct, frozen=True):
    """What a run measured, for machines; times in the unit of the name."""

    seconds: float
    products: int
    catalog_seconds: float
    replay: Replayed
    events_per_second: float
    changes: dict[str, list[households.Change]]
    evaluation: Evaluation
    recommend_ms: latency.Latency


def run_demo(folder: Path, ports: Ports, *, lines: int, once: bool) -> bool:
    """Run every step; then stop everything, or stay up until Ctrl-C. Raises StackFailed.

    False where it was told to stop before the last step.
    """
    narrator = Narrator()
    narrator.say("Attune: from a shopper's event to a recommendation, on this machine.")
    stack = Stack(folder, ports)

    def steps() -> None:
        narrator.heading("1. Start Kafka, Redis, the profiles worker and the servers")
        addresses = stack.start(lambda what: narrator.say(f"  {what}"))
        narrator.say("  all services are ready (standard gRPC health)")
        figures = _show(addresses, lines, narrator)
        (folder / FIGURES).write_bytes(msgspec.json.format(msgspec.json.encode(figures)))
        _say_where(addresses, figures, narrator)
        narrator.say(
            f"\nAll steps took {figures.seconds:.0f} s; figures in {shown(folder / FIGURES)}."
        )

    return perform(stack, folder, narrator, once=once, steps=steps)


def _show(addresses: Addresses, lines: int, narrator: Narrator) -> Figures:
    """Steps 2 to 6."""
    sales = read_sales()
    products = read_products(sales)
    catalog_seconds = _load(addresses, products, narrator)
    replayed = _replay(addresses, sales, lines, narrator)
    chosen = households.choose(sales, products, among=newest(sales, lines))
    storefront = Storefront(addresses.grpc, Path(addresses.api_key_file))
    try:
        changes = asyncio.run(_households(addresses, chosen, storefront, narrator))
        narrator.heading("5. How good is the model? Purchases of the held-out last weeks")
        evaluated = evaluation.evaluate_bundle(BUNDLE, narrator)
        narrator.heading(f"6. How fast? {CALLS:,} calls of Recommend, one after the other")
        user_ids = newest(sales, lines)["household_id"].unique(maintain_order=True).to_list()
        measured = latency.measure(storefront, user_ids, CALLS, narrator)
    finally:
        storefront.close()
    narrator.say(f"  p50 {measured.p50:.2f} ms, p99 {measured.p99:.2f} ms")
    return Figures(
        seconds=narrator.seconds,
        products=len(products),
        catalog_seconds=catalog_seconds,
        replay=replayed,
        events_per_second=replayed.events / replayed.folded_in,
        changes=changes,
        evaluation=evaluated,
        recommend_ms=measured,
    )


def _load(addresses: Addresses, products: list[CatalogProduct], narrator: Narrator) -> float:
    merchants = len({product.merchant_id for product in products})
    paused = sum(not product.deliverable for product in products)
    narrator.heading(f"2. Load a grocer's catalogue: {len(products):,} products")
    narrator.say(
        f"  of {merchants:,} manufacturers, who serve as merchants; {paused} that nobody can "
        "deliver (fuel, coupons, …) are not for sale"
    )
    seconds = asyncio.run(load_catalog(addresses, products, narrator))
    narrator.say(f"  products and offers sent, and taken in by the server, in {seconds:.1f} s")
    return seconds


def _replay(addresses: Addresses, sales: Sales, lines: int, narrator: Narrator) -> Replayed:
    chosen = newest(sales, lines)
    shift = time.time_ns() // 1000 - sales.ends_at
    orders = chosen["order_id"].n_unique()
    narrator.heading(
        f"3. Replay {orders:,} real orders ({len(chosen):,} lines) of "
        f"{chosen['household_id'].n_unique():,} households, in time order"
    )
    narrator.say(
        f"  all times shifted by {shift / 86_400e6:,.1f} days, so that the data end now; the demo "
        f"shop takes events up to {EVENT_AGE_LIMIT_SECONDS // DAY} days old"
    )
    narrator.say(f"  {sales.left_out:,} lines of the data have no positive quantity: left out")
    replayed = asyncio.run(replay(addresses, chosen, shift=shift, narrator=narrator))
    narrator.say(
        f"  {replayed.events - replayed.refused:,} events folded into profiles, "
        f"{replayed.refused:,} refused, in {replayed.folded_in:.1f} s: "
        f"{replayed.events / replayed.folded_in:,.0f} events/s, "
        f"{replayed.lines / replayed.folded_in:,.0f} order lines/s"
    )
    return replayed


async def _households(
    addresses: Addresses,
    chosen: Sequence[households.Household],
    storefront: Storefront,
    narrator: Narrator,
) -> dict[str, list[households.Change]]:
    narrator.heading("4. Three real households: what they are shown, and what fresh events change")
    narrator.say("  the time is from sending the event to the first answer that differs")
    changes = {}
    async with producer(addresses.kafka, linger_ms=0) as sender:
        for household in chosen:
            changes[household.user_id] = await households.follow(
                household, storefront, sender, narrator
            )
    return changes


def _say_where(addresses: Addresses, figures: Figures, narrator: Narrator) -> None:
    narrator.heading("Where everything listens")
    for name, address in msgspec.structs.asdict(addresses).items():
        narrator.say(f"  {name.replace('_', ' '):<15} {address}")
    narrator.say(f"  {'api key':<15} {Path(addresses.api_key_file).read_text()}")
    narrator.say("\nAsk it yourself (the server answers reflection, so grpcurl needs no protos):")
    user_id = next(iter(figures.changes))
    key = shown(Path(addresses.api_key_file))
    narrator.say(
        f'  grpcurl -plaintext -H "authorization: Bearer $(cat {key})" '
        f'-d \'{{"user_id": "{user_id}"}}\' {addresses.grpc} '
        "attune.recommendations.v1.RecommendationService/Recommend"
    )
