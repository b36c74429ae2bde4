"""A storefront writes an event and asks at once: the answer knows it, or says that it does not."""

from __future__ import annotations

import asyncio
import secrets
import uuid
from collections.abc import Iterator

import grpc
import pytest
from attune.events.v1.event_service_pb2 import Position
from attune.recommendations.v1 import recommendation_service_pb2 as pb

from deploy.local.topics import create_topics
from tests.recommendation_shop import refusal
from tests.standing import standing_still
from tests.storefront_parts import Storefront, knows, storefront

TIMES = 50
UNKNOWN = str(uuid.UUID(int=7))


@pytest.fixture(scope="module")
def front(
    tmp_path_factory: pytest.TempPathFactory, kafka_servers: str, redis_url: str
) -> Iterator[Storefront]:
    """One storefront for the module; its worker has folded something of every partition."""
    prefix = f"t{secrets.token_hex(3)}."
    asyncio.run(create_topics(kafka_servers, prefix=prefix))
    with storefront(tmp_path_factory.mktemp("front"), kafka_servers, redis_url, prefix) as running:
        running.warm()
        yield running


def test_the_answer_after_a_write_knows_it(front: Storefront) -> None:
    """Fifty times, of shoppers whom nobody knew: what is said to be known is known."""
    at_once = 0
    for number in range(TIMES):
        position = front.view(f"new-{number}", "lamp")
        answer = front.ask(f"new-{number}", position)
        at_once += answer.position_reached
        if not answer.position_reached:
            answer = front.until_known(f"new-{number}", position)
        assert answer.source == pb.SOURCE_PERSONAL
        assert knows(answer, "lamp")
    assert at_once >= TIMES / 2


def test_one_shopper_after_another_product(front: Storefront) -> None:
    """Of one who is known already each list follows from the very last view, too."""
    front.until_known("ana", front.view("ana", "mug"))
    for product_id in ("lamp", "rake", "bulb", "cup"):
        position = front.view("ana", product_id)
        answer = front.until_known("ana", position)
        assert knows(answer, product_id)


def test_a_worker_that_stands_still(front: Storefront) -> None:
    """The answer comes in time all the same, without the event, and says so."""
    front.until_known("bo", front.view("bo", "mug"))
    with standing_still(front.worker.process.pid):
        position = front.view("bo", "rake")
        answer = front.ask("bo", position, within=1)
    assert answer.HasField("position_reached")
    assert not answer.position_reached
    assert knows(answer, "mug")
    assert not knows(answer, "rake")
    assert knows(front.until_known("bo", position), "rake")


def test_a_position_that_is_nowhere(front: Storefront) -> None:
    """Of another topic, another partition or the future: no error, and not reached."""
    known = front.view("cy", "mug")
    front.until_known("cy", known)
    for nowhere in (
        Position(topic_id=UNKNOWN, partition=known.partition, offset=known.offset),
        Position(topic_id=known.topic_id, partition=99, offset=0),
        Position(topic_id=known.topic_id, partition=known.partition, offset=2**62),
    ):
        answer = front.ask("cy", nowhere)
        assert (answer.HasField("position_reached"), answer.position_reached) == (True, False)
        assert answer.source == pb.SOURCE_PERSONAL


def test_a_call_without_a_position(front: Storefront) -> None:
    """Nothing is said of one."""
    assert not front.shop.recommend("cy").HasField("position_reached")


@pytest.mark.parametrize(
    ("position", "fields"),
    [
        (Position(), ["topic_id", "topic_id"]),
        (Position(topic_id=UNKNOWN.replace("-", "_")), ["topic_id"]),
        (Position(topic_id=UNKNOWN, partition=-1, offset=-1), ["partition", "offset"]),
    ],
)
def test_a_position_that_is_none(front: Storefront, position: Position, fields: list[str]) -> None:
    """INVALID_ARGUMENT, which names the field."""
    code, reason, found = refusal(lambda: front.ask("cy", position))
    assert (code, reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")
    assert found == [f"min_position.{field}" for field in fields]
