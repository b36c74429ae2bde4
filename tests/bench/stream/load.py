"""Events for the benches: a shop's usual mix, the same for the same seed.

Seven of ten events are views; the others are searches, carts and purchases. Shoppers are *all
different*, so that each event makes a profile of its own, or *skewed*: Zipf's law with an
exponent of 1.1 over 100,000 shoppers, where the busiest eighth of a batch is one shopper's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
from attune.events.v1.shopper_event_pb2 import ShopperEvent
from confluent_kafka import KafkaException, Producer
from google.protobuf import json_format
from numpy.typing import NDArray

from services.shared.subject import event_key, subject_of

SHOP: Final = "demo"
POPULATION: Final = 100_000
EXPONENT: Final = 1.1
PRODUCTS: Final = 20_000
LASTS: Final = timedelta(hours=3)
"""From the first event to the last, however many there are."""

ACTIONS: Final = ("view", "search", "addToCart", "purchase")
SHARES: Final = (0.70, 0.15, 0.10, 0.05)
QUERIES: Final = ("red mug", "desk lamp with clamp", "running shoes 42", "garden hose 20 m")
PROTOBUF_HEADERS: Final = (("content-type", b"application/protobuf"),)
FLUSH_SECONDS: Final = 60.0

Event = dict[str, Any]
Numbers = NDArray[np.int64]


class Record(NamedTuple):
    """What a producer sends."""

    key: bytes
    value: bytes
    headers: Sequence[tuple[str, bytes]]


def all_different(count: int, _: np.random.Generator) -> Numbers:
    """Shoppers of whom each comes once."""
    return np.arange(count)


def skewed(count: int, random: np.random.Generator) -> Numbers:
    """Shoppers of whom few come often."""
    return _zipf(POPULATION, EXPONENT, count, random)


def events(shoppers: Numbers, *, random: np.random.Generator, until: datetime) -> Iterator[Event]:
    """One event of each of ``shoppers`` in turn, as producers write JSON; the last is ``until``."""
    count = len(shoppers)
    actions = random.choice(len(ACTIONS), size=count, p=SHARES)
    products = _zipf(PRODUCTS, 1.0, 2 * count, random).reshape(count, 2)
    ids = random.bytes(16 * count).hex()
    for number, (shopper, action) in enumerate(zip(shoppers, actions, strict=True)):
        at = until - LASTS * ((count - 1 - number) / count)
        yield {
            "eventId": _uuid(ids[32 * number : 32 * number + 32]),
            "shopId": SHOP,
            "userId": f"c-{shopper:010d}",
            "sessionId": f"s-{shopper:010d}-{at.hour:02d}",
            "occurredAt": at.astimezone(UTC).isoformat(timespec="milliseconds")[:-6] + "Z",
            ACTIONS[action]: _what(action, products[number], number),
        }


def json_record(event: Event) -> Record:
    """An event as JSON."""
    return Record(_key(event), msgspec.json.encode(event), ())


def protobuf_record(event: Event) -> Record:
    """An event as binary Protobuf, and the header that says so."""
    message = json_format.ParseDict(event, ShopperEvent())
    return Record(_key(event), message.SerializeToString(), PROTOBUF_HEADERS)


def produce(servers: str, topic: str, records: Iterable[Record]) -> int:
    """Send all, and wait until the broker has them; answers how many.

    Raises KafkaException where it has not.
    """
    failures: list[object] = []
    producer = Producer(
        {
            "bootstrap.servers": servers,
            "acks": "all",
            "linger.ms": 20,
            "partitioner": "murmur2_random",
            "queue.buffering.max.messages": 1_000_000,
            "error_cb": failures.append,
        }
    )
    count = 0
    for count, (key, value, headers) in enumerate(records, start=1):
        producer.produce(topic, value, key, headers=list(headers))
        if count % 1_000 == 0:
            producer.poll(0)
    left = producer.flush(FLUSH_SECONDS)
    if left or failures:
        raise KafkaException(f"{left} events were not acknowledged; {failures}")
    return count


def _what(action: int, products: Numbers, number: int) -> Event:
    first, second = (f"P-{product:08d}" for product in products)
    if action == 0:
        return {"productId": first}
    if action == 1:
        return {"query": QUERIES[number % len(QUERIES)], "resultCount": number % 50}
    if action == 2:
        return {"productId": first, "quantity": 1 + number % 3}
    price = {"currencyCode": "EUR", "units": str(number % 90 + 9), "nanos": 990_000_000}
    lines = [{"productId": each, "quantity": 1, "unitPrice": price} for each in (first, second)]
    return {"orderId": f"o-{number:010d}", "lines": lines}


def _key(event: Event) -> bytes:
    return event_key(event["shopId"], subject_of(event["userId"], ""))


def _uuid(text: str) -> str:
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def _zipf(ranks: int, exponent: float, count: int, random: np.random.Generator) -> Numbers:
    weights = np.arange(1, ranks + 1) ** -exponent
    bounds = np.cumsum(weights / weights.sum())
    return np.minimum(np.searchsorted(bounds, random.random(count)), ranks - 1)
