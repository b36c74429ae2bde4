"""How soon filters are computed on a million products: ``make bench-filters``.

The products are generated: nearly each with a title of its own, eight thousand brands, 1,600
categories, five of eight attributes. What is timed is one core's work, in this process; between
two calls so many products change as a feed of a thousand changes a second brings at a hundred
calls.
"""

from __future__ import annotations

import argparse
import gc
import random
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial, reduce
from typing import Final

import numpy as np
import psutil
from numpy.typing import NDArray
from rich.progress import track

from services.recommendations.domain.catalog import Catalog, Listing, Price, Terms
from services.recommendations.domain.filters.expression import Expression, compile_expression
from services.recommendations.domain.kept_masks import KeptMasks
from services.recommendations.domain.shopper import Shopper
from services.shared.model_input import Vocabulary
from tests.bench.report import Row, publish

PRODUCTS: Final = 1_000_000
GATE_MS: Final = 1.0
CHANGES: Final = 10
"""Between two calls: a thousand a second, at a hundred calls a second."""

MINUTE: Final = 60_000_000
DAY: Final = 86_400_000_000
NOW: Final = 29_500_000 * MINUTE

THREE: Final = (
    'product.price < 50 && product.brand in ["brand 7", "brand 70", "brand 700"]',
    'has(product.attributes.colour) && product.attributes["colour"] != "colour 3"',
    'product.categories.exists(c, c.startsWith("aisle 1")) && product.age_days < 365',
)
PATTERN: Final = "a title by a pattern"
COLD: Final = {
    "a price": "product.price < 50",
    "a brand": 'product.brand == "brand 7"',
    "an attribute": 'product.attributes["colour"] == "colour 3"',
    "a category": 'product.categories.exists(c, c.startsWith("aisle 1"))',
    "a brand by a pattern": 'product.brand.matches("^brand [0-9]*7$")',
    "a title": 'product.title.contains("word 77")',
    PATTERN: 'product.title.matches("word 7+ ")',
}
SHOPPERS: Final = "product.price < shopper.median_price * 1.5 && product.brand in shopper.brands"
AGED: Final = "product.age_days < 365"
SHOPPER: Final = Shopper(
    known=True, median_price=20.0, brands=tuple(f"brand {number}" for number in range(20))
)


def listing(source: random.Random, number: int) -> Listing:
    """One product."""
    department, aisle, shelf = source.randrange(20), source.randrange(10), source.randrange(8)
    names = source.sample(("colour", "size", "cut", "origin", "care", "season", "fit", "set"), 5)
    return Listing(
        title=f"word {source.randrange(900)} word {source.randrange(900)} {number % 997}",
        category_path=(
            f"department {department}",
            f"aisle {aisle} of {department}",
            f"shelf {shelf} of {aisle} of {department}",
        ),
        merchant_id=f"merchant {source.randrange(300)}",
        brand=f"brand {source.randrange(8_000)}",
        attributes={name: f"{name} {source.randrange(60)}" for name in names},
        listed_at=NOW - source.randrange(1_000) * DAY,
    )


def terms(source: random.Random) -> Terms:
    """What it costs."""
    return Terms(Price("EUR", source.randrange(200), 990_000_000), source.random() < 0.95)


def catalogue(source: random.Random, vocabulary: Vocabulary) -> Catalog:
    """All products that the model has learned."""
    catalog = Catalog(vocabulary)
    for number, product_id in enumerate(track(vocabulary.product_ids, "products")):
        catalog.put_product(product_id, listing(source, number))
        catalog.put_offer(product_id, terms(source))
    return catalog


def timed(work: Callable[[], object]) -> float:
    """Milliseconds."""
    begun = time.perf_counter()
    work()
    return (time.perf_counter() - begun) * 1_000


def all_of(expressions: Sequence[Expression], catalog: Catalog) -> NDArray[np.bool_]:
    """Which products all of them are true of, as a call asks."""
    return reduce(np.logical_and, (each.mask(catalog, SHOPPER, NOW) for each in expressions))


def changed(catalog: Catalog, source: random.Random) -> None:
    """What a feed brings between two calls: prices, and now and then a product."""
    for _ in range(CHANGES):
        number = source.randrange(PRODUCTS)
        if source.random() < 0.2:
            catalog.put_product(f"p{number}", listing(source, number))
        else:
            catalog.put_offer(f"p{number}", terms(source))


def warm(catalog: Catalog, source: random.Random, calls: int) -> Iterator[Row]:
    """Calls whose predicates are kept."""
    three = [compile_expression(text) for text in THREE]
    all_of(three, catalog)
    still, fed = [], []
    for _ in range(calls):
        still.append(timed(partial(all_of, three, catalog)))
        changed(catalog, source)
        fed.append(timed(partial(all_of, three, catalog)))
    yield row("three warmed predicates over 1 M products", still, gate=GATE_MS)
    yield row("the same, while 1,000 products change each second", fed, gate=GATE_MS)
    asked = compile_expression(SHOPPERS)
    alone = [timed(partial(asked.mask, catalog, SHOPPER, NOW)) for _ in range(calls)]
    yield row("a price and a brand beside the shopper's", alone)
    yield row("an age, when a minute has passed", list(ages(catalog)))


def ages(catalog: Catalog) -> Iterator[float]:
    """The first call of each minute."""
    aged = compile_expression(AGED)
    for minute in range(10):
        yield timed(partial(aged.mask, catalog, SHOPPER, NOW + minute * MINUTE))


def cold(catalog: Catalog, rounds: int) -> Iterator[Row]:
    """What was not asked before."""
    for text in (THREE[0], SHOPPERS):
        compiled = [timed(partial(compile_expression, text)) for _ in range(20)]
        yield row(f"to compile {len(text)} characters", compiled)
    for what, text in COLD.items():
        yield row(f"first time: {what}", [first(catalog, text) for _ in range(rounds)])
    yield row("the longest pause for a title by a pattern", [pause(catalog, COLD[PATTERN])])


def first(catalog: Catalog, text: str) -> float:
    """A call before which nothing was kept."""
    catalog.kept = KeptMasks()
    return timed(partial(compile_expression(text).mask, catalog, SHOPPER, NOW))


def pause(catalog: Catalog, text: str) -> float:
    """The longest of its slices, where it is prepared."""
    catalog.kept = KeptMasks()
    work = compile_expression(text).prepare(catalog)
    longest, done = 0.0, False
    while not done:
        begun = time.perf_counter()
        done = next(work, work) is work
        longest = max(longest, time.perf_counter() - begun)
    return longest * 1_000


def row(measure: str, values: Sequence[float], unit: str = "ms", gate: float | None = None) -> Row:
    """The median, with the least and the greatest."""
    return Row(measure, statistics.median(values), unit, (min(values), max(values)), gate)


def main() -> None:
    """Measure, and publish."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.filters", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer calls, coarser")
    quick = parser.parse_args().quick
    source, process = random.Random(1), psutil.Process()
    vocabulary = Vocabulary([f"p{number}" for number in range(PRODUCTS)])
    before = process.memory_info().rss
    catalog = catalogue(source, vocabulary)
    gc.collect()
    gc.freeze()
    held = (process.memory_info().rss - before) / PRODUCTS
    rows = [*warm(catalog, source, 50 if quick else 500), *cold(catalog, 1 if quick else 5)]
    publish("filters", [*rows, row("memory of a product, with its words", [held], "bytes")])


if __name__ == "__main__":
    main()
