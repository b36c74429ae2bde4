"""``EventService.Write`` behind its door: what is answered of which event, and when."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import grpc
import pytest
from attune.events.v1 import event_service_pb2 as pb
from attune.events.v1.shopper_event_pb2 import ShopperEvent
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from services.events.adapters.topic import EventTopic, MemoryTopic
from services.events.domain.record import Position, Record, Unacknowledged
from services.events.event_api import REQUEST_BYTES, BytesInHand, EventApi
from services.shared.errors import (
    EventsRefused,
    KafkaUnavailable,
    RequestTooLarge,
    TooManyBytes,
)
from services.shared.event_age import AgeRule
from services.shared.grpc_server import Call
from tests.profile_events import NOON
from tests.waiting import eventually_async, turns_during
from tests.write_parts import large, viewed, without_product

CALL = Call("demo", 5.0)


class Slow:
    """A topic that waits until it is let go on, and notes how long it was given."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()
        self.given: list[float] = []

    async def is_asked(self) -> bool:
        return bool(self.given)

    async def write(
        self, records: Sequence[Record], *, within: float
    ) -> list[Position | Unacknowledged]:
        self.given.append(within)
        await self.go_on.wait()
        return [Position("slow", 0, number) for number, _ in enumerate(records)]


def api(topic: EventTopic, *, most: int = 64 << 20) -> EventApi:
    """The service at noon."""
    return EventApi(
        topic=topic,
        bytes_in_hand=BytesInHand(most),
        age=AgeRule(timedelta(days=7)),
        now_micros=lambda: int(NOON.timestamp() * 1_000_000),
    )


def request(*events: ShopperEvent) -> pb.WriteRequest:
    """Events that happened at noon."""
    for event in events:
        event.occurred_at.FromDatetime(NOON)
    return pb.WriteRequest(events=events)


def counted(outcome: str) -> float:
    """So many events had this outcome."""
    return REGISTRY.get_sample_value("write_events_total", {"outcome": outcome}) or 0.0


async def test_each_event_has_its_answer_in_the_requests_order() -> None:
    """Wrong events among right ones hold nothing up and are told by code, reason and field."""
    topic = MemoryTopic()
    other_shop = viewed(3, shop_id="other")
    events = [viewed(1), without_product(), viewed(2), other_shop]
    before = [counted("written"), counted("EVENT_INVALID"), counted("EVENT_SHOP_MISMATCH")]
    with capture_logs() as logs:
        answer = await api(topic).write(request(*events), CALL)
    kinds = [result.WhichOneof("outcome") for result in answer.results]
    assert kinds == ["position", "refusal", "position", "refusal"]
    invalid, mismatch = answer.results[1].refusal, answer.results[3].refusal
    assert (invalid.code, list(invalid.fields)) == ("EVENT_INVALID", ["view.product_id"])
    assert invalid.reason.startswith("view.product_id: ")
    assert mismatch.code == "EVENT_SHOP_MISMATCH"
    assert not invalid.retriable
    assert sum(len(some) for some in topic.partitions) == 2
    after = [counted("written"), counted("EVENT_INVALID"), counted("EVENT_SHOP_MISMATCH")]
    assert after == [before[0] + 2, before[1] + 1, before[2] + 1]
    (line,) = [each for each in logs if each["event"] == "events_refused"]
    assert line["codes"] == {"EVENT_INVALID": 1, "EVENT_SHOP_MISMATCH": 1}
    assert "ana" not in str(line)


async def test_where_kafka_has_a_part_the_rest_is_told_honestly() -> None:
    """One partition acknowledges, another does not: each event says which it was."""
    topic = MemoryTopic(partitions=2)
    events = [viewed(number, user_id=f"u{number}") for number in range(20)]
    first = await api(topic).write(request(*events), CALL)
    topic.silent = {1}
    answer = await api(topic).write(request(*events), CALL)
    for earlier, now in zip(first.results, answer.results, strict=True):
        assert now.HasField("position") == (earlier.position.partition == 0)
    late = [each.refusal for each in answer.results if each.HasField("refusal")]
    assert 0 < len(late) < 20
    assert {(each.code, each.retriable) for each in late} == {("KAFKA_UNAVAILABLE", True)}


async def test_where_nothing_is_acknowledged_the_call_fails() -> None:
    """Unavailable, so that a client's own way of trying again takes hold."""
    topic = MemoryTopic()
    topic.silent = {0, 1, 2, 3}
    with pytest.raises(KafkaUnavailable, match="same event ids"):
        await api(topic).write(request(viewed(1), without_product()), CALL)


async def test_where_every_event_is_wrong_the_call_fails() -> None:
    """The fields are named with the event's place; the code is theirs if they agree on one."""
    topic = MemoryTopic()
    wrong = [without_product(), viewed(2, event_id="")]
    with pytest.raises(EventsRefused) as caught:
        await api(topic).write(request(*wrong), CALL)
    assert caught.value.code == "EVENT_INVALID"
    assert [path for path, _ in caught.value.fields] == [
        "events[0].view.product_id",
        "events[1].event_id",
    ]
    with pytest.raises(EventsRefused) as caught:
        await api(topic).write(request(*wrong, viewed(3, shop_id="other")), CALL)
    assert caught.value.code == "INVALID_REQUEST"
    nobody = viewed(4, user_id="")
    with pytest.raises(EventsRefused) as caught:
        await api(topic).write(request(nobody), CALL)
    assert [path for path, _ in caught.value.fields] == ["events[0]"]
    assert not any(topic.partitions)


async def test_a_request_that_is_too_large() -> None:
    """A megabyte is taken, more is refused with a sentence."""
    events = [large(number) for number in range(16)]
    assert request(*events).ByteSize() < REQUEST_BYTES
    assert len((await api(MemoryTopic()).write(request(*events), CALL)).results) == 16
    topic = MemoryTopic()
    with pytest.raises(RequestTooLarge, match="send fewer"):
        await api(topic).write(request(*events, large(17), large(18)), CALL)
    assert not any(topic.partitions)


async def test_bytes_in_hand_are_bounded() -> None:
    """Beyond the bound a call is refused at once, and nothing of it is written."""
    topic = Slow()
    service = api(topic, most=100_000)
    first = asyncio.create_task(service.write(request(large(1)), CALL))
    await eventually_async(topic.is_asked, within=30)
    with pytest.raises(TooManyBytes) as caught:
        await service.write(request(large(2)), CALL)
    assert caught.value.grpc_status is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert len(topic.given) == 1
    assert REGISTRY.get_sample_value("write_bytes_in_hand") == request(large(1)).ByteSize()
    topic.go_on.set()
    await first
    await service.write(request(large(3)), CALL)
    assert REGISTRY.get_sample_value("write_bytes_in_hand") == 0


@pytest.mark.parametrize(
    ("left", "least", "most"), [(0.1, 0.0, 0.05), (10.0, 8.0, 9.0), (300.0, 14.0, 15.0)]
)
async def test_kafka_is_given_less_time_than_the_caller_has(
    left: float, least: float, most: float
) -> None:
    """So that the answer is there before the deadline; and never more than 15 seconds."""
    topic = Slow()
    topic.go_on.set()
    await api(topic).write(request(viewed(1)), Call("demo", left))
    (given,) = topic.given
    assert least <= given <= most


async def test_other_calls_have_their_turn_while_a_large_one_is_judged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Five hundred events do not keep the server from everything else."""
    monkeypatch.setattr("services.events.event_api.SLICE_SECONDS", 0.0001)
    call = api(MemoryTopic()).write(request(*[viewed(n) for n in range(500)]), CALL)
    assert await turns_during(call) > 1
