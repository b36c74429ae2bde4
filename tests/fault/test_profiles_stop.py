"""A worker that is told to end does, also while partitions move."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.local.services import EmbeddedService, profiles_worker
from tests.stack import run_worker, started
from tests.waiting import eventually
from tests.worker_kafka import group_of

GRACE_SECONDS = 30
ASSIGNED = '"event": "partitions_assigned"'


def assigned(worker: EmbeddedService) -> int:
    """How often it was given partitions, by its log."""
    return worker.log_path.read_text().count(ASSIGNED) if worker.log_path.exists() else 0


@pytest.fixture
def told(kafka_servers: str, redis_url: str, topic_prefix: str) -> dict[str, str]:
    """A worker's settings."""
    return {
        "KAFKA_SERVERS": kafka_servers,
        "REDIS_URL": redis_url,
        "TOPIC_PREFIX": topic_prefix,
        "GROUP": group_of(topic_prefix),
    }


def test_told_to_end_when_it_has_just_been_given_partitions(
    told: dict[str, str], tmp_path: Path
) -> None:
    """What it asks of Kafka then does not hold it up."""
    with started(profiles_worker(told, tmp_path / "worker.log")) as worker:
        eventually(lambda: assigned(worker), within=60)
        assert worker.stop() == 0
        assert "faust_did_not_stop" not in worker.log_path.read_text()


def test_all_are_told_to_end_at_once(told: dict[str, str], tmp_path: Path) -> None:
    """Who ends later is given the partitions of who ends sooner, and ends all the same."""
    with (
        run_worker(told, tmp_path / "0.log") as one,
        run_worker(told, tmp_path / "1.log") as other,
        started(profiles_worker(told, tmp_path / "2.log")) as late,
    ):
        eventually(lambda: assigned(late), within=60)
        for worker in (one, other, late):
            worker.process.terminate()
        assert [worker.process.wait(GRACE_SECONDS) for worker in (one, other, late)] == [0, 0, 0]
