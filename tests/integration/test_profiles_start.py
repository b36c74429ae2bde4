"""What the worker says, and does, as it starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.local.redis import EmbeddedRedis
from deploy.local.services import profiles_worker
from services.profiles.settings import PREFIX, Settings
from services.shared.errors import BadSetting
from services.shared.redis_connection import RedisConnection
from services.shared.settings import read_settings
from tests.stack import run_worker, started


async def test_a_redis_that_cannot_confirm_writes_is_told_of_at_the_start(
    kafka_servers: str, own_redis: EmbeddedRedis, topic_prefix: str, tmp_path: Path
) -> None:
    """Before the first event, and with what a crash may lose."""
    connection = RedisConnection(own_redis.url)
    await connection.ask([("CONFIG", "SET", "appendonly", "no")])
    await connection.close()
    settings = {"KAFKA_SERVERS": kafka_servers, "REDIS_URL": own_redis.url}
    with run_worker({**settings, "TOPIC_PREFIX": topic_prefix}, tmp_path / "log") as worker:
        said = worker.log_path.read_text()
    assert said.count("redis_cannot_confirm_writes") == 1
    assert "may lose profile updates" in said


def test_one_node_of_a_cluster_taken_for_all(
    kafka_servers: str, cluster_url: str, topic_prefix: str, tmp_path: Path
) -> None:
    """The worker ends before it reads anything, and says what the URL must be like."""
    node = cluster_url.partition("://")[2].partition(",")[0]
    settings = {"KAFKA_SERVERS": kafka_servers, "REDIS_URL": f"redis://{node}"}
    log = tmp_path / "worker.log"
    with started(profiles_worker({**settings, "TOPIC_PREFIX": topic_prefix}, log)) as worker:
        assert worker.process.wait(30) == 2
    assert "BAD_SETTING: Redis is a cluster" in log.read_text()


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"REDIS_URL": "redis://x"}, "ATTUNE_PROFILES_KAFKA_SERVERS is missing"),
        ({"REDIS_URL": "http://x", "KAFKA_SERVERS": "x:1"}, "ATTUNE_PROFILES_REDIS_URL"),
        ({"REDIS_URL": "redis://x", "KAFKA_SERVERS": "x:1,"}, "ATTUNE_PROFILES_KAFKA_SERVERS"),
        ({"REDIS_URL": "redis://x", "KAFKA_SERVERS": "x:1, y:2"}, "ATTUNE_PROFILES_KAFKA_SERVERS"),
        ({"REDIS_URL": "redis://x:y/0", "KAFKA_SERVERS": "x:1"}, "BAD_SETTING: the URL of Redis"),
        (
            {"REDIS_URL": "redis+cluster://x:1/3", "KAFKA_SERVERS": "x:1"},
            "BAD_SETTING: Redis Cluster has no database but 0",
        ),
        (
            {"REDIS_URL": "redis://x:1,y:2", "KAFKA_SERVERS": "x:1"},
            "BAD_SETTING: the URL of Redis names several addresses",
        ),
        (
            {"REDIS_URL": "redis://x", "KAFKA_SERVERS": "x:1", "MASTER_KEY_FILE": "/no/such"},
            "BAD_SETTING: master key file /no/such cannot be read: No such file",
        ),
        (
            {"REDIS_URL": "redis://x", "KAFKA_SERVERS": "x:1", "KAFKA_SERVRES": "y"},
            "ATTUNE_PROFILES_KAFKA_SERVRES is not a setting",
        ),
    ],
)
def test_a_setting_that_cannot_work(settings: dict[str, str], says: str, tmp_path: Path) -> None:
    """The worker does not start, and one sentence names the setting."""
    with started(profiles_worker(settings, tmp_path / "worker.log")) as worker:
        assert worker.process.wait(20) == 2
        assert says in worker.log_path.read_text()


def test_without_a_master_key_no_worker_starts() -> None:
    """It would write what names people in the clear; the sentence says how a key is made."""
    told = {"ATTUNE_PROFILES_KAFKA_SERVERS": "x:1", "ATTUNE_PROFILES_REDIS_URL": "redis://x"}
    with pytest.raises(
        BadSetting, match=r"MASTER_KEY_FILE is missing.*services\.shared\.sealing new --file"
    ):
        read_settings(Settings, prefix=PREFIX, environ=told)
