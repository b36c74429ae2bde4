"""Attribution on a real Kafka and Redis: lists that were logged, and what followed."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from deploy.local.redis import EmbeddedRedis
from tests.attribution_kafka import Installation
from tests.attribution_parts import (
    Record,
    answer,
    cart,
    click,
    impression,
    of_visitor,
    oracle,
    purchase,
)
from tests.waiting import eventually
from tests.worker_kafka import now

SECOND = timedelta(seconds=1)


@pytest.fixture
def installed(
    kafka_servers: str, topic_prefix: str, own_redis: EmbeddedRedis, tmp_path: Path
) -> Installation:
    """Topics and a Redis of the test's own."""
    return Installation(kafka_servers, topic_prefix, own_redis.url, tmp_path)


def test_from_an_answer_to_the_figures(installed: Installation) -> None:
    """A list, seen, chosen from and bought from: also by who signed in to pay, and by nobody."""
    at = now() - 60 * SECOND
    answers = [
        answer("t", at=at, arms=(("calm", "b"),)),
        answer("v", at=at, user="", visitor="v1"),
        answer("n", at=at, user="", method="SimilarProducts"),
    ]
    events = [
        impression(1, "t", "mug", "lamp", at=at + SECOND),
        click(2, "t", at=at + 2 * SECOND),
        cart(3, at=at + 3 * SECOND),
        purchase(4, "mug", "hat", at=at + 4 * SECOND),
        of_visitor(click(1, "v", at=at + SECOND), "v1"),
        purchase(5, "mug", user="ben", visitorId="v1", at=at + 9 * SECOND),
    ]
    expected = oracle(answers, events)
    with installed.running() as service:
        installed.send([*events[:2], *answers, *events[2:]])
        eventually(lambda: installed.figures() == expected, within=60)
        again: list[Record] = [*events, *answers[:2]]
        installed.send(again)
        sent = len(events) + len(answers) + len(again)
        eventually(lambda: service.metric("attribution_records_total") == sent, within=30)
        assert service.stop() == 0
    assert installed.figures() == expected
