"""``EventService``: let in what the worker would fold, and answer once Kafka has it."""

from __future__ import annotations

import asyncio
import time
from collections import Counter as Counts
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import structlog
from attune.events.v1 import event_service_pb2 as pb
from prometheus_client import Counter, Gauge, Histogram

from services.events.adapters.topic import EventTopic
from services.events.domain.admission import admit
from services.events.domain.record import Record
from services.events.messages import Outcome, outcome_of, response
from services.shared.errors import EventRefused, RequestTooLarge, TooManyBytes
from services.shared.event_age import AgeRule
from services.shared.grpc_server import Call

REQUEST_BYTES: Final = 1 << 20
"""Of one request; what is larger is refused whole."""

PATIENCE_SECONDS: Final = 15.0
"""The longest wait for Kafka, whatever the caller's deadline."""

SLICE_SECONDS: Final = 0.002
"""How long one request's events are judged before other calls have their turn."""

EVENTS = Counter("write_events_total", "Events of Write calls by what became of them.", ["outcome"])
KAFKA_SECONDS = Histogram(
    "write_kafka_seconds",
    "From handing a call's events to Kafka to the last acknowledgement, or to giving up.",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15),
)
BYTES = Gauge("write_bytes_in_hand", "Bytes of the requests that are being written.")

_log = structlog.get_logger()


class BytesInHand:
    """How many bytes of requests a server holds."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._now = 0

    @contextmanager
    def holding(self, size: int) -> Iterator[None]:
        """Count ``size`` bytes in while the block runs. Raises TooManyBytes."""
        if self._now + size > self._most:
            raise TooManyBytes(
                f"requests in hand have {self._now} bytes, this one {size}; the server takes "
                f"{self._most} at once; try again"
            )
        self._now += size
        BYTES.set(self._now)
        try:
            yield
        finally:
            self._now -= size
            BYTES.set(self._now)


@dataclass(frozen=True, slots=True, kw_only=True)
class EventApi:
    """Answers the service's methods; joined from its parts by the entry point."""

    topic: EventTopic
    bytes_in_hand: BytesInHand
    age: AgeRule
    now_micros: Callable[[], int]

    async def write(self, request: pb.WriteRequest, call: Call) -> pb.WriteResponse:
        """See the contract."""
        until = time.monotonic() + _patience(call.seconds_left)
        size = request.ByteSize()
        if size > REQUEST_BYTES:
            raise RequestTooLarge(
                f"the request has {size} bytes; at most {REQUEST_BYTES} are taken: send fewer "
                "events at once"
            )
        with self.bytes_in_hand.holding(size):
            judged = await self._judge(request, call.shop_id)
            outcomes = await self._write(judged, until)
        _count(outcomes)
        return response(outcomes)

    async def _judge(self, request: pb.WriteRequest, shop_id: str) -> list[Record | EventRefused]:
        """Each event's record, or why it has none; other calls have their turn in between."""
        judged: list[Record | EventRefused] = []
        turn_ends = time.perf_counter() + SLICE_SECONDS
        for event in request.events:
            try:
                record = admit(event, shop_id=shop_id, now=self.now_micros(), age=self.age)
                judged.append(record)
            except EventRefused as refusal:
                judged.append(refusal)
            if time.perf_counter() > turn_ends:
                await asyncio.sleep(0)
                turn_ends = time.perf_counter() + SLICE_SECONDS
        return judged

    async def _write(self, judged: Sequence[Record | EventRefused], until: float) -> list[Outcome]:
        """Each event's outcome, in the request's order."""
        records = [each for each in judged if isinstance(each, Record)]
        if not records:
            return [each for each in judged if isinstance(each, EventRefused)]
        with KAFKA_SECONDS.time():
            within = max(0.0, until - time.monotonic())
            written = iter(await self.topic.write(records, within=within))
        return [next(written) if isinstance(each, Record) else each for each in judged]


def _patience(seconds_left: float) -> float:
    """How long to wait for Kafka: so that the answer still reaches the caller in time."""
    return max(0.0, min(PATIENCE_SECONDS, seconds_left - max(0.05, seconds_left / 10)))


def _count(outcomes: Sequence[Outcome]) -> None:
    counts = Counts(outcome_of(outcome) for outcome in outcomes)
    for name, count in counts.items():
        EVENTS.labels(name).inc(count)
    written = counts.pop("written", 0)
    if counts and written:  # else the call fails, and that is logged
        _log.info("events_refused", count=counts.total(), written=written, codes=dict(counts))
