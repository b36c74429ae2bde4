"""Kafka's topics as rows: what ``shopper-events`` and ``catalog`` hold up to now, read once.

Reading ends at the offsets that the topics had when it began; each fetch has a deadline, and
memory holds a few thousand records at a time.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

import polars as pl
import protovalidate
from attune.catalog.v1.catalog_pb2 import Offer, Product
from google.protobuf import json_format
from google.protobuf.message import DecodeError

from model_export.errors import DataRefused
from model_export.preparation.events import EventRow, Name, rows_of_event
from model_export.preparation.reasons import (
    KEY_UNREADABLE,
    OFFER_ALONE,
    OFFER_REFUSED,
    OTHER_ACTION,
    PRODUCT_REFUSED,
    REFUSED,
)
from model_export.preparation.rows import LATEST, PRODUCT, ROW, Feed, PassedOver
from services.shared.errors import EventRefused
from services.shared.event_age import FUTURE_LIMIT, first_appended
from services.shared.event_codec import decode_event
from services.shared.kafka_reading import Span, read_spans, spans_of
from services.shared.media_type import JSON, media_type
from services.shared.subject import split_key

BATCH_ROWS: Final = 100_000
EVENTS: Final = "shopper-events"
CATALOG: Final = "catalog"
OFFERS: Final = "offers"

TOLERANCE: Final = int(FUTURE_LIMIT.total_seconds() * 1_000_000)
"""Microseconds that a shop's clock may be ahead of the broker's."""

MADE: Final = {**{name: ROW[name] for name in EventRow._fields}, LATEST: pl.Int64}


class Topics(NamedTuple):
    """Which Kafka, and whose topics."""

    servers: str
    prefix: str = ""
    shop: str | None = None
    """Only this shop's records; None for all."""


def topic_feed(topics: Topics, name: Name) -> Feed:
    """The events that the topic holds now; users are named by ``name``.

    Raises KafkaUnavailable, also while it is read, and DataRefused where there are none.
    """
    topic = topics.prefix + EVENTS
    spans = asyncio.run(spans_of(topics.servers, topic))
    expected = sum(span.end - span.first for span in spans.values())
    if not expected:
        raise DataRefused(f"{topic} at {topics.servers} holds no events")
    products = read_products(topics)
    listed = products.frame.sort("item_id").write_ndjson()
    told = f"{topic} {topics.shop} {sorted(spans.items())} {listed}"

    def batches(passed: PassedOver) -> Iterator[pl.DataFrame]:
        rows: list[tuple[Any, ...]] = []
        for record in _records(topics.servers, topic, spans):
            rows.extend(_rows(record, topics.shop, name, passed))
            if len(rows) >= BATCH_ROWS:
                yield pl.DataFrame(rows, MADE, orient="row")
                rows = []
        yield pl.DataFrame(rows, MADE, orient="row")

    sha256 = hashlib.sha256(told.encode()).hexdigest()
    return Feed(topic, sha256, expected, batches, products.frame, products.lost)


class Products(NamedTuple):
    """What the catalogue's topics list."""

    frame: pl.DataFrame
    """With the columns of ``rows.PRODUCT``."""
    lost: Counter[str]
    """Names of ``reasons.LOSSES`` → records or prices."""


def read_products(topics: Topics) -> Products:
    """What the topics ``catalog`` and ``offers`` list now. Raises KafkaUnavailable."""
    catalog, offers = (
        _records(topics.servers, named, asyncio.run(spans_of(topics.servers, named)))
        for named in (topics.prefix + CATALOG, topics.prefix + OFFERS)
    )
    return products_of(catalog, offers, topics.shop)


def products_of(catalog: Iterable[Any], offers: Iterable[Any], shop: str | None) -> Products:
    """What the records of both topics list, of one shop or of all.

    A record that breaks a limit is passed over, as servers do, and counted.
    """
    lost: Counter[str] = Counter()
    listed: dict[str, Product] = {}
    prices: dict[str, float] = {}
    for key, record in _keyed(catalog, shop, lost):
        product = _message(key, record, Product())
        if record.value is None:
            listed.pop(key[1], None)
        elif product is None:
            lost[PRODUCT_REFUSED.name] += 1
        else:
            listed[key[1]] = product
    for key, record in _keyed(offers, shop, lost):
        offer = _message(key, record, Offer())
        if record.value is None:
            prices.pop(key[1], None)
        elif offer is None:
            lost[OFFER_REFUSED.name] += 1
        elif offer.HasField("price"):
            prices[key[1]] = offer.price.units + offer.price.nanos / 1e9
    lost[OFFER_ALONE.name] = len(prices.keys() - listed.keys())
    rows = [_row(product, prices.get(name)) for name, product in listed.items()]
    return Products(pl.DataFrame(rows, PRODUCT, orient="row"), lost)


def _row(product: Product, price: float | None) -> tuple[Any, ...]:
    """The columns of ``rows.PRODUCT``."""
    return (
        product.product_id,
        product.title,
        product.description or None,
        list(product.category_path),
        product.brand or None,
        product.merchant_id,
        price,
    )


def _rows(
    record: Any, shop: str | None, name: Name, passed: PassedOver
) -> Iterator[tuple[Any, ...]]:
    """The rows of a record, each with its latest moment; counts what has none."""
    try:
        event = decode_event(record.key, record.value, record.headers)
    except EventRefused:
        passed[REFUSED.name] += 1
        return
    if shop is not None and event.shop_id != shop:
        return
    latest = first_appended(record.timestamp, record.headers) * 1000 + TOLERANCE
    made = rows_of_event(event, name)
    if not made:
        passed[OTHER_ACTION.name] += 1
    for row in made:
        yield *row, latest


def _keyed(
    records: Iterable[Any], shop: str | None, lost: Counter[str]
) -> Iterator[tuple[tuple[str, str], Any]]:
    """Records of a compacted topic with the shop and the product that their keys name."""
    for record in records:
        try:
            key = split_key(record.key or b"")
        except ValueError:
            lost[KEY_UNREADABLE.name] += 1
            continue
        if shop in (None, key[0]):
            yield key, record


def _message(key: tuple[str, str], record: Any, message: Any) -> Any:
    """The record's message within the limits of its proto; None for another, or none."""
    if record.value is None:
        return None
    kind = next(
        (value for name, value in record.headers if name.lower() == "content-type"), JSON.encode()
    )
    try:
        if media_type((kind or b"").decode("latin-1")) == JSON:
            json_format.Parse(record.value, message)
        else:
            message.ParseFromString(record.value)
        protovalidate.validate(message)
    except (json_format.ParseError, DecodeError, protovalidate.ValidationError, ValueError):
        return None
    return message if (message.shop_id, message.product_id) == key else None


def _records(servers: str, topic: str, spans: Mapping[int, Span]) -> Iterator[Any]:
    """The records of the spans, one partition after another: always in the same order."""
    with asyncio.Runner() as runner:
        for number, span in sorted(spans.items()):
            read = read_spans(servers, topic, {number: span})
            try:
                while some := runner.run(_next(read)):
                    yield from some
            finally:
                runner.run(read.aclose())


async def _next(read: AsyncGenerator[tuple[int, list[Any]], None]) -> list[Any]:
    """Some more records; none at the end."""
    async for _, some in read:
        return some
    return []
