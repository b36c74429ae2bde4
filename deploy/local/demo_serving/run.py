"""The demo of the controls from beginning to end; `make demo-serving` runs it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
import polars as pl

from deploy.local.demo import households
from deploy.local.demo.complete_journey import CatalogProduct, newest, read_products, read_sales
from deploy.local.demo.narration import Narrator
from deploy.local.demo.replay import load_catalog, replay
from deploy.local.demo.staging import perform, shown
from deploy.local.demo.storefront import Storefront
from deploy.local.demo_serving.commands import Operator
from deploy.local.demo_serving.editing import Document, Edited, Editing
from deploy.local.demo_serving.exchanging import MODELS, Exchanged, Exchanging
from deploy.local.demo_serving.load import Load
from deploy.local.demo_serving.trying import Tried, Trying
from deploy.local.kept import REGISTRY, mark
from deploy.local.stack import Addresses, Stack
from deploy.local.told import BUNDLE, SHOP, Ports
from services.shared.bundle import load_bundle

FIGURES: Final = "serving.json"
"""Where in the stack's folder a run leaves its figures."""

CALLERS: Final = 200
"""Households that are asked for under load."""


class Figures(msgspec.Struct, frozen=True):
    """What a run measured, for machines."""

    seconds: float
    edited: Edited
    exchanged: Exchanged
    tried: Tried


def run_demo(folder: Path, ports: Ports, *, lines: int, once: bool) -> bool:
    """Run every step; then stop everything, or stay up until Ctrl-C. Raises StackFailed.

    False where it was told to stop before the last step.
    """
    narrator = Narrator()
    narrator.say("Attune: what an operator can do while shoppers are served, on this machine.")
    stack = Stack(folder, ports, has_registry=True)

    def steps() -> None:
        narrator.heading("1. Put a model into a registry; start Kafka, Redis and the services")
        mark(folder)
        registry = {"ATTUNE_RECOMMENDATIONS_REGISTRY": str(shown(folder / REGISTRY))}
        first = _publish(Operator(narrator, registry))
        addresses = stack.start(lambda what: narrator.say(f"  {what}"))
        told = registry | {
            "ATTUNE_ATTRIBUTION_REDIS_URL": addresses.redis,
            "ATTUNE_ATTRIBUTION_EXPERIMENTS": addresses.scenarios,
        }
        figures = _Steps(addresses, Operator(narrator, told), narrator, folder).run(lines, first)
        (folder / FIGURES).write_bytes(msgspec.json.format(msgspec.json.encode(figures)))
        narrator.say(f"\nAll steps took {figures.seconds:.0f} s. What they left behind:")
        for what, path in (
            ("the scenarios, to be edited", Path(addresses.scenarios)),
            ("the report of the experiment", Path(figures.tried.page)),
            ("figures of this run", folder / FIGURES),
        ):
            narrator.say(f"  {what:<30} {shown(path)}")

    return perform(stack, folder, narrator, once=once, steps=steps)


def _publish(operator: Operator) -> str:
    """Have the committed bundle answer for the shop; its version."""
    version = load_bundle(BUNDLE).manifest.version
    operator.types(f"{MODELS} publish --shop {SHOP} {shown(BUNDLE)}")
    operator.types(f"{MODELS} promote --shop {SHOP} {version}")
    return version


class _Steps:
    """Steps 2 to 5, on a stack that runs."""

    def __init__(
        self, addresses: Addresses, operator: Operator, narrator: Narrator, folder: Path
    ) -> None:
        self._addresses = addresses
        self._operator = operator
        self._narrator = narrator
        self._folder = folder
        self._document = Document(Path(addresses.scenarios) / f"{SHOP}.yaml")

    def run(self, lines: int, first: str) -> Figures:
        sales = read_sales()
        some = newest(sales, lines)
        sold = set(some["product_id"].unique())
        products = [each for each in read_products(sales) if each.product_id in sold]
        self._fill(products, some, shift=time.time_ns() // 1000 - sales.ends_at)
        chosen = households.choose(sales, products, among=some)[0]
        storefront = Storefront(self._addresses.grpc, Path(self._addresses.api_key_file))
        try:
            return self._show(storefront, chosen, some, products, first)
        finally:
            storefront.close()

    def _fill(self, products: Sequence[CatalogProduct], lines: pl.DataFrame, *, shift: int) -> None:
        narrator = self._narrator
        narrator.heading(
            f"2. A grocer's shop: {len(products):,} products, "
            f"{lines['order_id'].n_unique():,} real orders"
        )
        asyncio.run(load_catalog(self._addresses, list(products), narrator))
        asyncio.run(replay(self._addresses, lines, shift=shift, narrator=narrator))

    def _show(
        self,
        storefront: Storefront,
        chosen: households.Household,
        lines: pl.DataFrame,
        products: Sequence[CatalogProduct],
        first: str,
    ) -> Figures:
        addresses, operator, narrator = self._addresses, self._operator, self._narrator
        narrator.heading("3. One scenario, edited while it serves")
        editing = Editing(self._document, storefront, operator, narrator, addresses.server_metrics)
        edited = editing.show(chosen, products)
        narrator.heading("4. One model, exchanged under load")
        load = Load(addresses.grpc, Path(addresses.api_key_file), _busiest(lines))
        exchanging = Exchanging(load, operator, narrator, addresses.server_metrics)
        exchanged = asyncio.run(exchanging.show(self._folder, first))
        narrator.heading("5. One experiment, and its report")
        trying = Trying(self._document, storefront, operator, narrator, addresses, self._folder)
        tried = trying.show(products)
        return Figures(narrator.seconds, edited, exchanged, tried)


def _busiest(lines: pl.DataFrame) -> list[str]:
    """Households with most lines: of each the model knows something."""
    counts = lines.group_by("household_id").len().sort("len", "household_id", descending=True)
    return counts["household_id"].head(CALLERS).to_list()
