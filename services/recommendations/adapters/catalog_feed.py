"""Kafka's ``catalog`` and ``offers``, read from the beginning and followed for ever.

Without a consumer group: every server needs every record. After a break it goes on where it
was, not at the beginning, where compaction may have dropped a removal it has not seen.
Records are applied in slices of :data:`SLICE_SECONDS`, with calls answered in between, so a
shop that sends its whole catalogue again delays no answer by much more than that.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Final

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from prometheus_client import Counter, Gauge

from services.recommendations.adapters.catalog_record import (
    RecordRefused,
    decode_offer,
    decode_product,
)
from services.recommendations.domain.catalogs import Catalogs
from services.shared.errors import KafkaUnavailable
from services.shared.media_type import JSON, media_type
from services.shared.subject import split_key

SLICE_SECONDS: Final = 0.002
"""How long records are applied before calls have their turn."""

REST_SECONDS: Final = 0.05
"""Between two batches, once all is read. Each takes the loop several turns, however little is in
it, so what trickles in is collected."""
TRICKLE_RECORDS: Final = 100
"""A batch of fewer; after a larger one more are probably waiting."""

BATCH_RECORDS: Final = 500
POLL_MS: Final = 500
REQUEST_MS: Final = 10_000
NEW_PARTITIONS_MS: Final = 30_000
"""How soon a topic that got more partitions is noticed."""

BACKOFF_SECONDS: Final = (0.2, 5.0)
"""The first and the longest wait before Kafka is tried again."""

APPLIED = Counter("catalog_records_applied_total", "Records taken in.", ["topic"])
REFUSED = Counter(
    "catalog_records_refused_total", "Records that break a rule, by reason.", ["topic", "reason"]
)
PRODUCTS = Gauge("catalog_products", "Products listed, over all shops.")

_log = structlog.get_logger()


class CatalogFeed:
    """Keeps ``catalogs`` equal to the topics; calls ``when_caught_up`` once."""

    def __init__(
        self,
        servers: str,
        *,
        topic_prefix: str,
        catalogs: Catalogs,
        when_caught_up: Callable[[], Awaitable[None]],
    ) -> None:
        self._servers = servers
        self._topics = {topic_prefix + name: name for name in ("catalog", "offers")}
        self._catalogs = catalogs
        self._when_caught_up = when_caught_up
        self._caught_up = False
        self._positions: dict[TopicPartition, int] = {}

    async def run(self) -> None:
        """Follow the topics until cancelled; Kafka being away is logged and waited out."""
        wait, longest = BACKOFF_SECONDS
        while True:
            started = time.monotonic()
            try:
                await self._follow()
            except (KafkaError, KafkaUnavailable, OSError, TimeoutError) as error:
                _log.error("catalog_feed_failed", code=KafkaUnavailable.code, message=str(error))
            if time.monotonic() - started > longest:
                wait = BACKOFF_SECONDS[0]
            await asyncio.sleep(wait)
            wait = min(wait * 2, longest)

    async def _follow(self) -> None:
        await self._check_topics()
        async with self._consumer(*self._topics) as consumer:
            partitions = consumer.assignment()
            for partition in partitions & self._positions.keys():
                consumer.seek(partition, self._positions[partition])
            ends = await consumer.end_offsets(partitions)
            while consumer.assignment() == partitions:  # else there are new ones: start anew
                await self._take(consumer)
                if not self._caught_up:
                    await self._compare(consumer, ends)

    def _consumer(self, *topics: str) -> AIOKafkaConsumer:
        return AIOKafkaConsumer(
            *topics,
            bootstrap_servers=self._servers,
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            request_timeout_ms=REQUEST_MS,
            metadata_max_age_ms=NEW_PARTITIONS_MS,
        )

    async def _check_topics(self) -> None:
        """Ask for what there is: a consumer told of a missing topic would wait without a word."""
        async with self._consumer() as consumer:
            missing = sorted(self._topics.keys() - await consumer.topics())
        if missing:
            raise KafkaUnavailable(f"{self._servers} lacks {' and '.join(missing)}; create them")

    async def _take(self, consumer: AIOKafkaConsumer) -> None:
        batches = await consumer.getmany(timeout_ms=POLL_MS, max_records=BATCH_RECORDS)
        for partition, records in batches.items():
            await self.apply(self._topics[partition.topic], records)
            self._positions[partition] = records[-1].offset + 1
        if batches:
            PRODUCTS.set(self._catalogs.listed)
        if self._caught_up:
            await asyncio.sleep(rest_after(sum(map(len, batches.values()))))

    async def _compare(self, consumer: AIOKafkaConsumer, ends: dict[TopicPartition, int]) -> None:
        """Notice when everything is read that was there when the reading began."""
        for partition, end in ends.items():
            if end > 0 and await consumer.position(partition) < end:
                return
        self._caught_up = True
        await self._when_caught_up()

    async def apply(self, topic: str, records: Iterable[Any]) -> None:
        """Apply records of ``catalog`` or ``offers`` in their order; refused ones are counted."""
        until = time.perf_counter() + SLICE_SECONDS
        applied = 0
        refused: list[tuple[Any, RecordRefused]] = []
        for record in records:
            try:
                self._apply_one(topic, record)
                applied += 1
            except RecordRefused as refusal:
                refused.append((record, refusal))
            except Exception as error:  # a mistake of ours must not end every server at once
                refused.append((record, RecordRefused("UNEXPECTED", repr(error))))
            if time.perf_counter() > until:
                await asyncio.sleep(0)
                until = time.perf_counter() + SLICE_SECONDS
        APPLIED.labels(topic).inc(applied)
        _refuse(topic, refused)

    def _apply_one(self, topic: str, record: Any) -> None:
        shop_id, product_id = _key(record.key)
        if not self._catalogs.serves(shop_id):
            return
        if record.value is None:
            catalog = self._catalogs.of(shop_id)
            remove = catalog.remove_product if topic == "catalog" else catalog.remove_offer
            remove(product_id)
            return
        told = _content_type(record.headers)
        if topic == "catalog":
            listing = decode_product(shop_id, product_id, record.value, told)
            self._catalogs.for_feeding(shop_id).put_product(product_id, listing)
        else:
            terms = decode_offer(shop_id, product_id, record.value, told)
            self._catalogs.for_feeding(shop_id).put_offer(product_id, terms)


def rest_after(records: int) -> float:
    """Seconds to rest after a batch of so many."""
    return REST_SECONDS if records < TRICKLE_RECORDS else 0.0


def _refuse(topic: str, refused: Sequence[tuple[Any, RecordRefused]]) -> None:
    """Count each; log one line, about the first, for all that came at once."""
    for _, refusal in refused:
        REFUSED.labels(topic, refusal.code).inc()
    if refused:
        record, refusal = refused[0]
        _log.warning(
            "catalog_records_refused",
            topic=topic,
            count=len(refused),
            partition=record.partition,
            offset=record.offset,
            code=refusal.code,
            message=str(refusal),
        )


def _key(key: bytes | None) -> tuple[str, str]:
    try:
        return split_key(key or b"")
    except ValueError as error:
        raise RecordRefused("RECORD_KEY_INVALID", "the key must be shop_id/product_id") from error


def _content_type(headers: Iterable[tuple[str, bytes | None]]) -> str:
    for name, value in headers:
        if name.lower() == "content-type":
            return media_type((value or b"").decode("latin-1"))
    return JSON
